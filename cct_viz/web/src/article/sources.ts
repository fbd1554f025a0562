// What the article rests on. Titles are not translated.

export const SOURCES = [
  [
    "Hassani et al. 2021",
    "Escaping the Big Data Paradigm with Compact Transformers",
    "https://arxiv.org/abs/2104.05704",
  ],
  ["Vaswani et al. 2017", "Attention Is All You Need", "https://arxiv.org/abs/1706.03762"],
  ["Dosovitskiy et al. 2020", "An Image is Worth 16x16 Words", "https://arxiv.org/abs/2010.11929"],
  ["Abnar and Zuidema 2020", "Quantifying Attention Flow in Transformers", "https://arxiv.org/abs/2005.00928"],
  ["Selvaraju et al. 2016", "Grad-CAM: Visual Explanations from Deep Networks", "https://arxiv.org/abs/1610.02391"],
  ["Petsiuk et al. 2018", "RISE: Randomized Input Sampling for Explanation", "https://arxiv.org/abs/1806.07421"],
  ["Adebayo et al. 2018", "Sanity Checks for Saliency Maps", "https://arxiv.org/abs/1810.03292"],
] as const;
