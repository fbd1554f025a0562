// Whether the page is dark: the system's choice or the visitor's.

class ThemeState {
  dark = $state(false);
}

export const theme = new ThemeState();
