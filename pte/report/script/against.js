// Differences of all methods from the one chosen, corrected over the rows shown (Holm), as the tables above them.
const { methods, alpha, columns } = await pte.json("pairs");
const [reference, column] = ["reference", "column"].map((id) => document.getElementById(id));
const body = document.getElementById("chosen").tBodies[0];

const plain = (value) => value.toFixed(4).replace(/^0\./, ".");
const signed = (value) => (value >= 0 ? "+" : "−") + plain(Math.abs(value));
const chance = (p) => (p < 0.001 ? "<.001" : p >= 0.9995 ? "1" : p.toFixed(3).replace(/^0\./, "."));

function holm(rows) {
  let highest = 0;
  [...rows].sort((x, y) => x.p - y.p).forEach((row, place) => {
    highest = Math.max(highest, Math.min(1, row.p * (rows.length - place)));
    row.corrected = highest;
  });
}

function verdict(row) {
  if (row.corrected > alpha) return "not significant";
  const word = row.mean > 0 ? "better" : "worse";
  return row.bound !== null && Math.abs(row.mean) < row.bound ? `${word}, but within seed noise` : word;
}

function rows(against) {
  const found = [];
  for (const [a, b, mean, low, high, p, bound] of columns[column.value].pairs) {
    if (b === against) found.push({ method: a, mean, low, high, p, bound });
    if (a === against) found.push({ method: b, mean: -mean, low: -high, high: -low, p, bound });
  }
  holm(found);
  return found.sort((x, y) => x.method - y.method);
}

function show() {
  body.replaceChildren(...rows(Number(reference.value)).map((row) => {
    const line = document.createElement("tr");
    const cells = [methods[row.method], signed(row.mean), `[${signed(row.low)}, ${signed(row.high)}]`, chance(row.p),
      chance(row.corrected), verdict(row)];
    cells.forEach((text, place) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      if (place === 0 || place === 5) cell.className = place || text.length <= 24 ? "word" : "word long";
      if (place === 5 && row.corrected <= alpha) cell.style.fontWeight = "600";
      line.append(cell);
    });
    return line;
  }));
}

reference.append(...methods.map((name, number) => new Option(name, number)));
column.append(...columns.map(({ title }, number) => new Option(title, number)));
for (const choice of [reference, column]) choice.addEventListener("change", show);
show();
document.documentElement.dataset.against = "ready";
