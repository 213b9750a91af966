package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of the lists that one command reads. Each costs a request and at most
// a folder, see comntr.MaxFolderCAR.
const (
	// maxFilters is how many --filter names: more than a reader could follow.
	maxFilters = 16
	// maxLists is how many lists are read in all, those of delegates included,
	// so that who keeps a list cannot send its readers for thousands.
	maxLists = 64
)

// lists reads moderators' lists at one server, each once.
type lists struct {
	server *comntr.Client
	acts   map[comntr.Place][]*comntr.Document
}

func listsAt(s *comntr.Client) *lists {
	return &lists{s, map[comntr.Place][]*comntr.Document{}}
}

// read returns the documents that can say something in the list at a place;
// none where the server knows no such topic. Anyone may post to a list's
// topic, so that what is no act is not kept.
func (l *lists) read(ctx context.Context, at comntr.Place) ([]*comntr.Document, error) {
	if acts, ok := l.acts[at]; ok {
		return acts, nil
	}
	folder, err := l.server.Folder(ctx, at)
	if err != nil && !isNotFound(err) {
		return nil, fmt.Errorf("read the list %s: %w", at.Topic, err)
	}
	var acts []*comntr.Document
	if err == nil {
		for _, d := range documents(at, folder) {
			if d.Kind().Moderates() || d.Kind() == comntr.KindDelete {
				acts = append(acts, d)
			}
		}
	}
	l.acts[at] = acts
	return acts, nil
}

// filters reads lists with those of their delegates. One that says nothing
// here is a warning: what it would hide is shown.
func (l *lists) filters(ctx context.Context, e *env, at []comntr.Place, now time.Time) ([]comntr.Filter, error) {
	for _, list := range at { // before delegates use up maxLists
		if _, err := l.read(ctx, list); err != nil {
			return nil, err
		}
	}
	var out []comntr.Filter
	for _, list := range at {
		docs := l.acts[list]
		f := comntr.ParseFilter(list, docs, now)
		if f.Tag == "" {
			fmt.Fprintf(e.stderr, "the list %s says nothing at %s: it is empty, or this is no list's id\n", list.Topic, l.server.Origin())
		}
		for i, delegate := range f.Delegates {
			if _, read := l.acts[delegate]; !read && len(l.acts) >= maxLists {
				fmt.Fprintf(e.stderr, "the list %s has %d delegates: %d lists were read, and no more are; these delegates are not heard from %s on\n",
					list.Topic, len(f.Delegates), maxLists, f.Delegates[i].Topic)
				break
			}
			acts, err := l.read(ctx, delegate)
			if err != nil {
				return nil, err
			}
			docs = append(docs[:len(docs):len(docs)], acts...)
		}
		out = append(out, comntr.ParseFilter(list, docs, now))
	}
	return out, nil
}

func isNotFound(err error) bool {
	var p *comntr.Problem
	return errors.As(err, &p) && p.Code == comntr.CodeNotFound
}

// maxTagShown is how much of a tag is shown: it may have thousands of bytes.
const maxTagShown = 40

// filterName is a filter as people see it: its tag, which proves nothing, and
// the first 12 digits of its list's id, which they chose it by.
func filterName(f *comntr.Filter) string {
	mark := f.List.Topic.String()[:12]
	if f.Tag == "" {
		return mark
	}
	return shorten(f.Tag, maxTagShown) + " " + mark
}

// shorten makes one short line of a stranger's text.
func shorten(s string, most int) string {
	runes := []rune(strings.Join(strings.Fields(printable(s)), " "))
	if len(runes) > most {
		runes = append(runes[:most-1], '…')
	}
	return string(runes)
}
