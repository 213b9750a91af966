// The screens but the thread, which come together: each is small, and they share most of their words.

export { Help } from "./help.tsx";
export { Home } from "./home.tsx";
export { Network } from "./network.tsx";
export { Search } from "./search.tsx";
export { You } from "./you.tsx";
