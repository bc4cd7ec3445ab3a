// Search an entity by title or id, unpack its block, show it. Everything is put in as text, never as HTML.
const index = await pte.json("index");
const place = new Map(index.entities.map(([side, number], row) => [`${side}-${number}`, row]));
const searched = index.entities.map(([side, number]) =>
  (side === "item" ? `${index.title[number]} ${index.item_id[number]}` : `user ${index.user_id[number]}`).toLowerCase());
const [words, hits, shown] = ["words", "hits", "entity"].map((id) => document.getElementById(id));
const blocks = new Map();

function make(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text !== null) made.append(text);
  made.append(...children);
  return made;
}
const name = (side, number) => (side === "item" ? index.title[number] : `user ${index.user_id[number]}`);

function link(side, number) {
  const made = make(place.has(`${side}-${number}`) ? "a" : "span", name(side, number));
  if (made.tagName === "A") made.href = `#${side}-${number}`;
  return made;
}

function search() {
  const asked = words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  hits.replaceChildren();
  if (!asked.length) return;
  let count = 0;
  for (let row = 0; row < searched.length && count < 20; row++) {
    if (!asked.every((word) => searched[row].includes(word))) continue;
    const [side, number] = index.entities[row];
    const hit = make("div", null, link(side, number));
    hit.setAttribute("role", "option");
    hits.append(hit);
    count++;
  }
  if (!count) hits.append(make("p", "nothing found"));
}

function list(numbers, side, target) {
  return make("ol", null, ...numbers.map((number) => {
    const made = make("li", null, link(side, number));
    if (number === target) made.append(make("strong", "  the held-out item"));
    return made;
  }));
}

function candidates(it) {
  const parts = Object.keys(it.reward).filter((part) => part !== "total");
  const columns = it.reward.total ? ["total", ...parts] : parts;
  const head = make("tr", null, ...["", "text", ...columns].map((word) => make("th", word)));
  const rows = it.candidates.map((text, k) => {
    const row = make("tr", null, make("td", k === it.chosen ? "chosen" : `${k + 1}`));
    const cell = make("td", text);
    cell.className = "word long";
    row.append(cell, ...columns.map((part) => make("td", it.reward[part][k]?.toFixed(3) ?? "–")));
    if (k === it.chosen) row.style.fontWeight = "600";
    return row;
  });
  const scroll = make("div", null, make("table", null, make("thead", null, head), make("tbody", null, ...rows)));
  scroll.className = "scroll";
  return scroll;
}

async function show() {
  const asked = decodeURIComponent(location.hash.slice(1));
  if (!place.has(asked)) return;
  const row = place.get(asked);
  const number = Math.floor(row / index.block);
  if (!blocks.has(number)) blocks.set(number, await pte.json(`block-${number}`));
  const it = blocks.get(number)[row % index.block];
  const [side, entity] = index.entities[row];
  shown.replaceChildren(make("h3", name(side, entity)));
  const add = (heading, child) => shown.append(make("h4", heading), child);
  if (side === "item") {
    shown.append(make("p", `item ${index.item_id[entity]}, in training ${index.count[entity]} times`));
    for (const [column, text] of Object.entries(it.text)) shown.append(make("p", `${column}: ${text}`));
  }
  if (it.target) {
    const where = it.rank ? `rank ${it.rank} of all unseen items` : "a miss: the history holds it already";
    add("Held-out item", make("p", `${where}: `, link("item", it.target)));
    if (it.list.length) add("Recommended, seen items left out", list(it.list, "item", it.target));
  }
  if (it.history) add(`History${it.length > it.history.length ? `, the last ${it.history.length} of ${it.length}` : ""}, oldest first`, list(it.history, "item"));
  if (it.candidates) add(it.chosen < 0 ? "Candidates, mixed" : "Candidates", candidates(it));
  if (it.earlier?.length) add("The chosen text in earlier rounds", make("ol", null, ...it.earlier.map((text) => make("li", text))));
  if (it.nearest?.length) add("Nearest by vector", list(it.nearest, side));
  shown.dataset.entity = asked;
}

words.addEventListener("input", search);
document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const first = hits.querySelector("a");
  if (first) { first.click(); shown.focus(); }
});
addEventListener("hashchange", show);
document.documentElement.dataset.explorer = "ready";
if (place.has(location.hash.slice(1))) show();
