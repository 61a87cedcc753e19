/// Drawn, not emoji: a machine without an emoji font shows boxes.
const draw = (path: string) =>
  function Icon() {
    return (
      <svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        <path d={path} />
      </svg>
    );
  };
export const CopyIcon = draw("M9 9h10v11H9zM5 15V4h10");
export const DoneIcon = draw("M5 13l4 4 10-11");
export const UpIcon = draw("M7 11v9H4v-9zM7 11l4-8c2 0 3 1 3 3l-1 4h6l-2 10H7");
export const DownIcon = draw("M7 13V4H4v9zM7 13l4 8c2 0 3-1 3-3l-1-4h6L17 4H7");
export const MenuIcon = draw("M4 7h16M4 12h16M4 17h16");
export const CloseIcon = draw("M6 6l12 12M18 6L6 18");
