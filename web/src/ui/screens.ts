// The screens but the thread. They come with what writes, which has the words of them all.

export { Help } from "./help.tsx";
export { Home } from "./home.tsx";
export { Network } from "./network.tsx";
export { Search } from "./search.tsx";
export { You } from "./you.tsx";
