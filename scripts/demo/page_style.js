// The page's style sheet.

export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #566171; --paper: #f3f5f8; --card: #fff;
  --line: #d5dbe3; --accent: #1f5fbf; --on-accent: #fff; --low: #b45309; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a3adba; --paper: #12161c;
  --card: #1b212a; --line: #333d4a; --accent: #7fb0ff; --on-accent: #0b1526; --low: #f0b35a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
header, main { max-width: 46rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; align-items: center; justify-content: space-between; padding-block: 1.25rem; }
.brand { margin: 0; font-weight: 700; } .brand span { color: var(--soft); font-weight: 400; }
nav { display: flex; gap: 1rem; }
a { color: var(--accent); } nav a[aria-current] { color: inherit; text-decoration: none; font-weight: 600; }
section > :last-child { margin-bottom: 0; }
section { margin: 0 0 1.25rem; padding: 1.5rem; background: var(--card); border: 1px solid var(--line); border-radius: 0.75rem; }
h1 { margin: 0 0 0.25rem; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.5rem; font-size: 1.1rem; }
p { margin: 0 0 1rem; color: var(--soft); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; margin: 0 0 0.75rem; }
dt { color: var(--soft); font-size: 0.85rem; } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.bar { height: 0.4rem; margin: 0 0 1.25rem; border-radius: 1rem; background: var(--line); overflow: hidden; }
.bar span { display: block; height: 100%; width: 0; background: var(--accent); transition: width 1s linear; }
.bar span.low { background: var(--low); }
button, .button { display: inline-block; padding: 0.55rem 1.1rem; font: inherit; font-weight: 600; text-decoration: none;
  color: var(--on-accent); background: var(--accent); border: 0; border-radius: 0.4rem; cursor: pointer; }
:is(a, button, pre):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 0.25rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { padding: 0.4rem 1rem 0.4rem 0; text-align: left; font-weight: 400; border-top: 1px solid var(--line); vertical-align: top; }
code, pre { font: 0.9rem/1.5 ui-monospace, monospace; } td code { overflow-wrap: anywhere; }
pre { margin: 1rem 0 0; padding: 1rem; max-height: 24rem; overflow: auto; background: var(--paper); border-radius: 0.4rem; }
@media (prefers-reduced-motion: reduce) { .bar span { transition: none; } }
`;
