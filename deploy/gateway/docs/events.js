// Shows the messages whose name holds what is typed, and the services that still have one.
"use strict";

const filter = document.getElementById("filter");

filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const section of document.querySelectorAll("main section")) {
    const articles = [...section.querySelectorAll("article")];
    for (const article of articles) article.hidden = !article.dataset.words.includes(wanted);
    section.hidden = articles.every((article) => article.hidden);
  }
});
