"""The style of the page of the interface, in light and dark."""

STYLE = """
:root{--ink:#1b2422;--soft:#5b6864;--paper:#fbfcfb;--card:#fff;--line:#dfe6e3;--green:#0b6b4f;
--tint:#e5f3ee;--code:#f3f6f5;--post:#8a4b08;--post-tint:#fbeedd}
@media (prefers-color-scheme:dark){
:root{--ink:#e4ece9;--soft:#9aa8a3;--paper:#101614;--card:#161e1b;
--line:#2a3531;--green:#6fd3ae;--tint:#17352b;--code:#0c1210;--post:#f0b878;--post-tint:#3a2812}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
header,main{max-width:62rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.75rem}
main{padding-bottom:4rem}
h1{font-size:2.1rem;line-height:1.2;margin:.1rem 0 .6rem;letter-spacing:-.015em;
overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:0 0 .15rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.5rem 0 0}
p{margin:.2rem 0 .8rem}
section{margin-top:2.6rem;scroll-margin-top:1rem}
section>p,h3+p{color:var(--soft)}
h3+p{margin-bottom:.5rem;font-size:.92rem}
a{color:var(--green);text-underline-offset:.18em}
a:focus-visible,pre:focus-visible{outline:2px solid var(--green);outline-offset:2px;
border-radius:4px}
.eyebrow{margin:0;color:var(--green);font-size:.82rem;font-weight:650;letter-spacing:.08em;
text-transform:uppercase}
.pill{display:inline-block;vertical-align:.35em;font-size:.8rem;font-weight:600;letter-spacing:0;
padding:.1rem .6rem;border-radius:1rem;background:var(--tint);color:var(--green)}
.limits{display:flex;flex-wrap:wrap;gap:.4rem 1.6rem;list-style:none;margin:1rem 0;padding:0;
color:var(--soft)}
.limits b{color:var(--ink);font-variant-numeric:tabular-nums}
nav{display:flex;flex-wrap:wrap;gap:.35rem 1.2rem;padding:.8rem 0;border-top:1px solid var(--line);
border-bottom:1px solid var(--line);font-size:.94rem}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:.94rem}
th,td{text-align:left;vertical-align:top;padding:.55rem .9rem;border-top:1px solid var(--line)}
td:last-child{min-width:13rem}
thead th{border-top:0;color:var(--soft);font-size:.8rem;font-weight:600;white-space:nowrap}
tbody th{font-weight:500;white-space:nowrap}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{font-size:.9em}
.note{margin-left:.5rem;font-size:.78rem;font-weight:400;color:var(--soft);
border:1px solid var(--line);border-radius:1rem;padding:.02rem .5rem}
.method{display:inline-block;min-width:3.4rem;text-align:center;font-size:.76rem;font-weight:700;
letter-spacing:.04em;padding:.12rem .4rem;border-radius:5px;background:var(--tint);
color:var(--green)}
.method.post{background:var(--post-tint);color:var(--post)}
#endpoints td:first-child{width:5.5rem}
#endpoints tbody th{width:50%}
figure{margin:0 0 1.1rem}
figcaption{font-size:.88rem;font-weight:600;margin:0 0 .3rem}
pre{margin:0;padding:.9rem 1rem;overflow-x:auto;background:var(--code);border:1px solid var(--line);
border-radius:10px;font-size:.84rem;line-height:1.5;tab-size:2}
"""
