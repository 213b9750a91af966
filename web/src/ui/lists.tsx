// Moderators' lists: those that are used, each with its switch, those that are the reader's own, and the page of one.

import type { VNode } from "preact";
import { moderation, type Yes } from "../protocol/kinds.ts";
import { type Place, placeText } from "../protocol/hash.ts";
import { hashOfPart } from "../route.ts";
import { forgetList, setList } from "../state/choices.ts";
import { listLink, type ListName, listNamed, openList } from "../state/lists.ts";
import { chosen, type ChosenList, people } from "../state/me.ts";
import { listIn, makeList, mine, notes, openOwn, say, writeOn } from "../state/moderate.ts";
import { config } from "../state/page.ts";
import { page } from "../strings/en.ts";
import { lists as t, you } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import { useEffect, useMemo, useSignal } from "./component.ts";
import { Check, Field, linkTo, Shown, who } from "./forms.tsx";

/** Things of one kind that a list's page shows. */
export const maxShown = 200;

const isAt = (place: Place, { place: other }: Pick<ListName, "place">): boolean => placeText(other) === placeText(place);
const chosenAt = (place: Place): ChosenList | undefined => chosen.value.find((each) => isAt(place, each));

/** The part of You. */
export function Lists(): VNode {
  return (
    <section>
      <h2>{t.title}</h2>
      <p class="meta">{t.text}</p>
      {chosen.value.length === 0 ? <p class="meta">{t.none}</p> : (
        <ul class="plain">{chosen.value.map((each) => (
          <li key={placeText(each.place)} class="line">
            <Switch list={each} />
            <a href={listLink(mine.value.find((own) => isAt(each.place, own)) ?? each)}><bdi>{each.label}</bdi></a>
            {listIn(each.place.community)?.place.topic !== each.place.topic && !config.value.lists.some((site) => site.startsWith(placeText(each.place))) && <button class="link" onClick={() => forgetList(each.place)}>{you.forget}</button>}
          </li>
        ))}</ul>
      )}
      <Later label={t.add} act={async (text) => {
        const named = listNamed(text, config.value.community);
        if (named === undefined) return t.bad;
        location.hash = listLink(named);
        return "";
      }} />
      <Later label={t.make} act={async (tag) => {
        const list = await makeList(hashOfPart(config.value.community), tag);
        if (list === undefined) return t.badTag;
        writeOn(list);
        location.hash = listLink(list);
        return "";
      }} />
      {mine.value.length > 0 && <p><a href="#desk">{page.desk}</a></p>}
    </section>
  );
}

function Switch({ list, children }: { readonly list: ChosenList; readonly children?: string }): VNode {
  return <Check on={!list.off} set={(on) => setList({ ...list, off: !on })} label={t.use(list.label)}>{children}</Check>;
}

/** A field that few need. */
function Later({ label, act }: { readonly label: string; readonly act: (text: string) => Promise<string> }): VNode {
  return (
    <details>
      <summary>{label}</summary>
      <Field label={label} go={t.go} act={act} />
    </details>
  );
}

/** What a list says: who uses it sees it, who keeps it takes it back here. */
export function ListPage({ link }: { readonly link: string }): VNode {
  const named = listNamed(link, config.value.community);
  return <main id="main" class="prose" tabIndex={-1}>{named === undefined ? <p>{t.bad}</p> : <ListShown named={named} />}</main>;
}

function ListShown({ named }: { readonly named: ListName }): VNode {
  const { place } = named;
  const own = mine.value.find((each) => isAt(place, each));
  const open = useMemo(() => (own === undefined ? openList(place) : openOwn(own)), [own]);
  useEffect(() => (own === undefined ? () => open.close() : undefined), [open]);
  const late = useSignal(false);
  useEffect(() => void open.heard.then(() => (late.value = true)), [open]);
  const view = open.view.value;
  const { key = view?.key, tag = view?.tag } = named;
  const title = shownName(tag ?? "") || place.topic.slice(0, 8);
  const list = key === undefined || tag === undefined ? undefined : { place, key, tag };
  // A key that was brought here, or made on the command line, has its lists with it.
  const writes = list !== undefined && people.value.some((each) => each.key === key) ? list : undefined;
  const used = chosenAt(place);
  return (
    <>
      <h1><bdi>{title}</bdi></h1>
      {key !== undefined && <p class="line meta">{who(key)}</p>}
      <p class="line">
        {used !== undefined ? <Switch list={used}>{t.used}</Switch> : <button class="primary" onClick={() => setList({ place, label: chosen.value.some(({ label }) => label === title) ? `${title} ${place.topic.slice(0, 8)}` : title, off: false })}>{t.useIt}</button>}
        {writes !== undefined && (own !== undefined && listIn(place.community) === own ? <span class="meta">{t.current}</span> : <button onClick={() => writeOn(writes)}>{t.writeOn(title)}</button>)}
      </p>
      {own !== undefined && writes === undefined && <p class="warn">{t.lost}</p>}
      <p>{t.share} <Shown label={t.share} value={new URL(listLink(list ?? named), location.href).href} /></p>
      <p class="meta" role="status">{view?.key !== undefined ? "" : late.value ? t.silent : t.reading}</p>
      {(Object.keys(moderation) as Yes[]).map((about) => {
        const things = [...(view?.own ?? [])].flatMap(([each, { yes }]) => (yes ? [each] : []))
          .concat([...(view?.theirs.keys() ?? [])])
          .flatMap((each) => (each.startsWith(`${about} `) ? [each.slice(about.length + 1)] : []));
        return things.length > 0 && (
          <section key={about} class="list">
            <h2>{about === "delegate" ? t.delegates : t.did[about][1]} ({things.length})</h2>
            <ul class="plain">{things.slice(0, maxShown).map((thing) => (
              <li key={thing}>
                <Thing about={about} thing={thing} place={place} by={view?.theirs.get(`${about} ${thing}`)} />
                {writes !== undefined && <button class="link" onClick={() => void say(writes, [{ about, thing, yes: false }])}>{t.verbs[about][0]}</button>}
              </li>
            ))}</ul>
            {things.length > maxShown && <p class="meta">{t.more(things.length - maxShown)}</p>}
            {about === "delegate" && <p class="meta">{t.dismissing} {(view?.unheard ?? 0) > 0 && t.unheard(view?.unheard ?? 0)}</p>}
          </section>
        );
      })}
      {writes !== undefined && <Later label={t.verbs.delegate[1]} act={async (text) => {
        const other = listNamed(text, place.community);
        if (other?.key === undefined || other.tag === undefined) return t.bad;
        if (other.place.topic === place.topic) return t.itself;
        await say(writes, [{ about: "delegate", yes: true, thing: `${other.key} ${other.tag}` }]);
        return "";
      }} />}
    </>
  );
}

/** What an act is on, in the words that this browser has for it. by: the tag of the delegate's list whose word it is. */
function Thing({ about, thing, place, by }: { readonly about: Yes; readonly thing: string; readonly place: Place; readonly by: string | undefined }): VNode {
  const note = notes.value.find((each) => each.thing === thing);
  const [key, tag] = [thing.slice(0, 64), thing.slice(65)];
  return (
    <span>
      {about === "delegate" ? who(key, <a href={listLink({ place, key, tag })}><bdi>{shownName(tag)}</bdi></a>)
        : about === "ban" ? who(key, <bdi>{note?.text}</bdi>)
        : note === undefined ? <code class="key">{thing}</code>
        : <a href={linkTo(note.place, "", thing as Place["topic"])}><bdi>{note.text}</bdi></a>}
      {by !== undefined && <span class="meta"> {t.by(shownName(by))}</span>}
    </span>
  );
}
