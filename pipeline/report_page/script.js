(() => {
  const form = document.getElementById("filter");
  const [text, kind] = form.elements;
  const cards = [...document.querySelectorAll("article")];
  const nothing = document.getElementById("nothing");
  const apply = () => {
    let shown = 0;
    for (const card of cards) {
      const fits = card.dataset.name.includes(text.value.trim().toLowerCase()) &&
        (kind.value === "all" || card.dataset.kind === kind.value);
      card.hidden = !fits;
      shown += fits;
    }
    nothing.hidden = shown > 0;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  const viewer = document.getElementById("viewer");
  const large = viewer.querySelector("img");
  document.getElementById("gallery").addEventListener("click", (event) => {
    if (event.target.tagName !== "IMG") return;
    large.src = event.target.src;
    large.alt = event.target.alt;
    viewer.showModal();
  });
  viewer.addEventListener("click", () => viewer.close());
})();
