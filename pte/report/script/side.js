// Case by case the lists of two methods beside the held-out item. Everything is put in as text, never as HTML.
const data = await pte.json("cases-data");
const [user, shown, one, other] = ["user", "case", "one", "other"].map((id) => document.getElementById(id));
const lists = [document.getElementById("one-list"), document.getElementById("other-list")];
const low = data.user.map((name, row) => `${name} ${data.title[data.target[row]]}`.toLowerCase());
let current = 0;

function make(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function show(row) {
  current = row;
  const seen = data.history[row].map((item) => data.title[item]).join(" → ");
  const target = data.target[row];
  shown.replaceChildren(make("h3", `user ${data.user[row]}`), make("p", `${seen} → ?`));
  const held = make("p", "held out: ");
  held.append(make("strong", data.title[target]));
  shown.append(held);
  [one, other].forEach((choice, side) => {
    const method = data.methods[choice.value];
    lists[side].replaceChildren(...method.list[row].map((item) =>
      make("li", data.title[item] + (item === target ? "  ← held out" : ""))));
    [...lists[side].children].forEach((line, place) => {
      if (method.list[row][place] === target) line.style.fontWeight = "600";
    });
    const rank = method.rank[row];
    const said = rank === null ? "the history holds it: a miss" : `held-out item at rank ${rank}`;
    lists[side].parentElement.dataset.said = said;
  });
  shown.dataset.user = data.user[row];
}

function next(fits) {
  for (let step = 1; step <= data.user.length; step++) {
    const row = (current + step) % data.user.length;
    if (fits(row)) return show(row);
  }
  shown.replaceChildren(make("p", "nothing found"));
  delete shown.dataset.user;
  for (const list of lists) {
    list.replaceChildren();
    delete list.parentElement.dataset.said;
  }
}
const has = (choice, row) => data.methods[choice.value].list[row].includes(data.target[row]);

document.getElementById("cases").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = user.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  next((row) => words.every((word) => low[row].includes(word)));
});
document.getElementById("differ").addEventListener("click", () => next((row) => has(one, row) !== has(other, row)));
for (const choice of [one, other]) {
  choice.append(...data.methods.map(({ label }, number) => new Option(label, number)));
  choice.addEventListener("change", () => show(current));
}
other.value = 1;
show(0);
document.documentElement.dataset.side = "ready";
