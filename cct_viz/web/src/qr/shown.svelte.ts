// Whether the QR code of the page is shown.

class CodeState {
  open = $state(false);
}

export const shownCode = new CodeState();
