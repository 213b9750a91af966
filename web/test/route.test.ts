import { describe, expect, test } from "vitest";
import { defaultConfig, maxConfig, maxOrigins, readConfig } from "../src/config.ts";
import { hashOfName, parseHash } from "../src/protocol/hash.ts";
import { placeOf, readRoute, type Route, writeRoute } from "../src/route.ts";
import { routeOfTyped } from "../src/typed.ts";

const id = hashOfName("a comment");

describe("routes", () => {
  const cases: [string, Route][] = [
    ["#/reddit/%2Fr%2Fnews", { screen: "thread", community: "reddit", topic: "/r/news" }],
    [`#/reddit/%2Fr%2Fnews/${id}`, { screen: "thread", community: "reddit", topic: "/r/news", comment: id }],
    ["#/reddit/https%3A%2F%2Fexample.org%2Fa%3Fb%3Dc", { screen: "thread", community: "reddit", topic: "https://example.org/a?b=c" }],
    [`#/reddit/${id}`, { screen: "thread", community: "reddit", topic: id }],
    [`#/reddit/a%2F${id}/${id}`, { screen: "thread", community: "reddit", topic: `a/${id}`, comment: id }],
    ["#/r%C3%A9seau/100%25", { screen: "thread", community: "réseau", topic: "100%" }],
    ["#/reddit", { screen: "home", community: "reddit" }],
    ["#/", { screen: "home" }],
    ["#you", { screen: "you" }],
    ["#help", { screen: "help" }],
    ["#search", { screen: "search" }],
    ["#desk", { screen: "desk" }],
    [`#list/reddit/${"ab".repeat(32)}/news%20mods`, { screen: `list/reddit/${"ab".repeat(32)}/news%20mods` }],
  ];
  test.each(cases)("%s is read and written", (link, route) => {
    expect(readRoute(link)).toEqual(route);
    expect(writeRoute(route)).toBe(link);
  });

  test.each<[string, Route]>([
    ["", { screen: "home" }],
    ["#", { screen: "home" }],
    ["#nonsense", { screen: "home" }],
    ["#list/", { screen: "home" }],
    ["#desks", { screen: "home" }],
    ["#//r/news", { screen: "home" }],
    ["#/reddit//r/news", { screen: "thread", community: "reddit", topic: "/r/news" }],
    [`#/reddit//r/news/${id}`, { screen: "thread", community: "reddit", topic: "/r/news", comment: id }],
    ["#/reddit/https://example.org/a", { screen: "thread", community: "reddit", topic: "https://example.org/a" }],
    ["#/reddit/%E0%A4%A", { screen: "thread", community: "reddit", topic: "%E0%A4%A" }],
    [`#/reddit/a/${id.toUpperCase()}`, { screen: "thread", community: "reddit", topic: `a/${id.toUpperCase()}` }],
  ])("%s is read as it was meant", (link, route) => expect(readRoute(link)).toEqual(route));

  test("long ones are cut and not hashed whole", () => expect(readRoute(`#/a/${"b".repeat(1e6)}`)).toMatchObject({ screen: "thread" }));

  test("a topic is named, a URL that is cleaned, or its hash", () => {
    expect(placeOf({ community: "reddit", topic: "/r/news" })).toEqual({ place: { community: hashOfName("reddit"), topic: hashOfName("/r/news") }, name: "/r/news" });
    expect(placeOf({ community: "reddit", topic: "HTTPS://Example.org/a/?utm_source=x#y" }).name).toBe("https://example.org/a");
    expect(placeOf({ community: hashOfName("reddit"), topic: id })).toEqual({ place: { community: hashOfName("reddit"), topic: id }, name: "" });
  });

  test.each<[string, Route | undefined]>([
    ["", undefined],
    ["  ", undefined],
    [" /r/news ", { screen: "thread", community: "c", topic: "/r/news" }],
    ["HTTPS://Example.org:443/a/", { screen: "thread", community: "c", topic: "https://example.org/a" }],
    [`https://page.example/x/#/reddit/%2Fr%2Fnews/${id}`, { screen: "thread", community: "reddit", topic: "/r/news", comment: id }],
    ["#/reddit/news", { screen: "thread", community: "reddit", topic: "news" }],
    ["https://example.org/a#/", { screen: "thread", community: "c", topic: "https://example.org/a" }],
  ])("what is typed: %s", (typed, route) => expect(routeOfTyped(typed, "c")).toEqual(route));
});

describe("config.json", () => {
  test("is read, and what is wrong in it is left out", () => {
    expect(readConfig('{"community":"news","servers":["https://a.example","",5,"."],"trackers":["wss://t.example"],"stun":["stun:s.example"],"lists":["a/b news",1],"more":1}')).toEqual({
      community: "news", servers: ["https://a.example", "."], trackers: ["wss://t.example"], stun: ["stun:s.example"], lists: ["a/b news"],
    });
    for (const odd of ["", "null", "[]", "5", "{", '{"community":5,"servers":{"length":9}}', '{"community":"a\\u0000b"}', `{"community":"${"x".repeat(300)}"}`]) {
      expect(readConfig(odd)).toEqual(defaultConfig);
    }
  });

  test("is bounded", () => {
    expect(readConfig(JSON.stringify({ servers: Array.from({ length: 99 }, (_, i) => `http://${i}`) })).servers.length).toBe(maxOrigins);
    expect(readConfig(`{"community":"a"${" ".repeat(maxConfig)}}`)).toEqual(defaultConfig);
    expect(parseHash(defaultConfig.community)).toBeUndefined();
  });
});
