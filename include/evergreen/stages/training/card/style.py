"""The style of a card's page and of its charts: light and dark, wide and narrow, on paper, too."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b2422;--soft:#5b6864;--paper:#f7f9f8;--card:#fff;
--line:#dfe6e3;--grid:#edf1ef;--green:#0b6b4f;--tint:#e5f3ee;--rival:#c77d1e;--base:#9aa5a1;
--bad:#b42318;--bad-tint:#fdecea;--warn:#8a5a00;--warn-tint:#fcf1da;--code:#f3f6f5}
@media (prefers-color-scheme:dark){:root{--ink:#e4ece9;--soft:#9aa8a3;--paper:#101614;
--card:#161e1b;--line:#2a3531;--grid:#212b27;--green:#5fc9a2;--tint:#17352b;--rival:#e0a458;
--base:#6f7c77;--bad:#ff8f85;--bad-tint:#3b1a17;--warn:#f0c46c;--warn-tint:#372a10;--code:#0c1210}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
header,main,nav{max-width:66rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}main{padding-bottom:4rem}
h1{font-size:2.1rem;line-height:1.2;margin:.1rem 0 .5rem;letter-spacing:-.015em;
overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:0 0 .2rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{margin:.2rem 0 .8rem;overflow-wrap:anywhere}
section{margin-top:2.4rem;scroll-margin-top:1rem}
section>p,.soft{color:var(--soft)}
a{color:var(--green);text-underline-offset:.18em}
.eyebrow{margin:0;color:var(--green);font-size:.82rem;font-weight:650;letter-spacing:.08em;
text-transform:uppercase}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.15rem;list-style:none;margin:1.4rem 0 0;
padding:.75rem 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);
font-size:.94rem}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
.pill{display:inline-block;font-size:.82rem;font-weight:600;padding:.08rem .6rem;
border-radius:1rem;background:var(--code);color:var(--soft);white-space:nowrap}
h1 .pill{vertical-align:.4em;letter-spacing:0}
.pill.good{background:var(--tint);color:var(--green)}
.pill.bad{background:var(--bad-tint);color:var(--bad)}
.pill.warn{background:var(--warn-tint);color:var(--warn)}
.pill.off{background:none;color:var(--soft);border:1px dashed var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,13rem),1fr));gap:.8rem;
margin:1.3rem 0 0}
.tile,.panel{background:var(--card);border:1px solid var(--line);border-radius:12px}
.tile{padding:.8rem 1rem}
.tile b{display:block;font-size:1.6rem;line-height:1.25;letter-spacing:-.02em;font-weight:650;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{display:block;font-size:.85rem;color:var(--soft)}
.tile .name{font-weight:600;color:var(--ink)}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:.8rem;
margin:.8rem 0;align-items:start}
.panel{padding:.8rem 1rem;margin:0;min-width:0}
.panel.broad{grid-column:1/-1}
figcaption{font-size:.88rem;font-weight:600;margin:0 0 .45rem;line-height:1.35}
figcaption small{display:block;font-weight:400;color:var(--soft)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px;
margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.93rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.5rem .85rem;border-top:1px solid var(--line)}
thead th,tr.first th,tr.first td{border-top:0}
thead th{color:var(--soft);font-size:.8rem;font-weight:600;white-space:nowrap}
tbody th{font-weight:600}thead th.number{text-align:right}
.number{text-align:right;white-space:nowrap}
tr.decides{background:var(--tint)}
td.text{min-width:12rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;margin:.8rem 0;
background:var(--card);border:1px solid var(--line);border-radius:12px;padding:.35rem 1rem;
font-size:.93rem}
dt,dd{margin:0;padding:.38rem 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
dt:first-of-type,dt:first-of-type+dd{border-top:0}
dt{color:var(--soft);padding-right:1.5rem}
.digest{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.84em}
details{background:var(--card);border:1px solid var(--line);border-radius:12px;margin:.6rem 0;
padding:0 1rem}
summary{cursor:pointer;padding:.6rem 0;font-weight:600;font-size:.93rem;overflow-wrap:anywhere}
summary .pill{margin-left:.5rem}
details .wide,details dl{border-radius:8px}
.open{border:1px dashed var(--soft);border-radius:12px;padding:1rem;color:var(--soft)}
.keys{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.2rem 0 0;font-size:.84rem;
color:var(--soft)}
.keys i{display:inline-block;width:.75rem;height:.75rem;border-radius:3px;margin-right:.35rem;
vertical-align:-.05rem}
i.challenger,i.holdout{background:var(--green)}i.champion{background:var(--rival)}
i.baseline,i.train,i.truth{background:var(--base)}
svg.chart{display:block;width:100%;height:auto;overflow:visible}
svg.spark{display:block;width:6rem;height:1.6rem}
svg text{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
svg .tick,svg .small{font-size:10.5px}svg .tick{fill:var(--soft)}
svg .figure{fill:var(--soft);font-variant-numeric:tabular-nums}
svg text.failed{fill:var(--bad)}svg .cell{fill:var(--ink)}svg .cell.strong{fill:var(--card)}
svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--line)}
svg .mark{stroke:var(--ink);stroke-dasharray:4 3;stroke-opacity:.55}
svg .challenger,svg .holdout{fill:var(--green)}svg .champion{fill:var(--rival)}
svg .baseline,svg .train{fill:var(--base)}svg .failed{fill:var(--bad)}
svg .first{fill:var(--base)}svg .second{fill:var(--green)}
svg .pale{fill-opacity:.28}svg .veil{fill-opacity:.55}svg .point{fill-opacity:.5}
svg .unseen{fill:transparent}
svg .line{fill:none;stroke-width:1.8;stroke-linejoin:round}
svg .line.truth{stroke:var(--base);stroke-width:3.2}svg .line.challenger{stroke:var(--green)}
svg .line.champion{stroke:var(--rival);stroke-dasharray:5 3}
@media (max-width:34rem){dl{grid-template-columns:1fr}dd{border-top:0;padding-top:0}
dt{padding-bottom:.1rem}header{padding-top:1.5rem}h1{font-size:1.7rem}
td.text{min-width:10rem}}
@media print{body{background:#fff}nav{display:none}section{break-inside:avoid-page}}
"""
