// Light, dark or as the system says; tables that sort, search and page. Nothing is fetched: all is in this file.
const root = document.documentElement;
const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
button.addEventListener("click", () => {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  root.classList.toggle("dark", root.dataset.theme === "dark");
  button.setAttribute("aria-pressed", root.dataset.theme === "dark");
});

function inflate(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
}

window.pte = { inflate, json: (id) => new Response(inflate(id)).json(), tables: {} };

async function address(id) {
  const source = await new Response(inflate(id)).blob();
  return URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
}

async function tables() {
  if (!document.getElementById("datatables")) return;
  const { ITable } = await import(await address("datatables"));
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const many = table.tBodies[0].rows.length > 25;
    pte.tables[table.id] = new ITable(table, {
      paging: many, info: many, pageLength: 25, order: [], autoWidth: false,
      layout: { topStart: null, topEnd: "search", bottomStart: many ? "info" : null, bottomEnd: many ? "paging" : null },
      language: { search: "filter:" },
    });
  }
  root.dataset.tables = "ready";
}

async function figures() {
  if (!document.getElementById("plotly")) return;
  const script = document.createElement("script");
  script.src = await address("plotly");
  await new Promise((done) => { script.onload = done; document.head.append(script); });
  for (const place of document.querySelectorAll(".plot")) {
    const { data, layout } = JSON.parse(document.getElementById(`${place.id}-data`).textContent);
    await Plotly.newPlot(place, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    await new Promise((done) => setTimeout(done)); // the page answers between two figures
  }
  root.dataset.figures = "ready";
}
tables().then(figures);
