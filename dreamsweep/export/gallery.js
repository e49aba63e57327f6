// Filters the pictures by words, and shows one large: arrows go on, Esc goes back. Without scripts, pictures open by a click.
const figures = [...document.querySelectorAll("figure")];
const viewer = document.body.appendChild(document.createElement("dialog"));
const large = viewer.appendChild(document.createElement("img"));
const caption = viewer.appendChild(document.createElement("p"));
let at = 0;

document.querySelector("input").addEventListener("input", ({ target }) => {
  const words = target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    for (const figure of section.children) figure.hidden = !words.every((word) => `${section.dataset.prompt} ${figure.textContent}`.toLowerCase().includes(word));
    section.hidden = section.previousElementSibling.hidden = ![...section.children].some((figure) => !figure.hidden);
  }
});
document.addEventListener("click", (event) => {
  const figure = event.target.closest("figure");
  if (!figure || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  show(figures.indexOf(figure));
});
viewer.addEventListener("click", () => viewer.close());
viewer.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) show(at + step, step);
});

function show(index, step = 1) {
  while (figures[index]?.hidden) index += step;
  if (!figures[index]) return;
  at = index;
  large.src = figures[at].querySelector("a").href;
  large.alt = figures[at].closest("section").dataset.prompt;
  caption.textContent = `${large.alt} · ${figures[at].querySelector("figcaption").textContent}`;
  if (!viewer.open) viewer.showModal();
}
