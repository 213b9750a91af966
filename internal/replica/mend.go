package replica

import (
	"context"
	"errors"
	"net/http"

	"github.com/comntr/comntr"
)

// mend asks the peer for comments whose files were damaged or lost on the disk
// here: a walk passes them over, because the folders say that they are held. What
// the peer lacks it is asked for again later, as with blocks.
func (l *link) mend(ctx context.Context) error {
	var damaged []commentKey
	now := l.r.cfg.Now()
	l.c.store.Damage(func(topic, comment comntr.Hash) bool {
		at := commentKey{topic, comment}
		if _, early := l.lacks.early(at, now); !early {
			damaged = append(damaged, at)
		}
		return len(damaged) < maxMends
	})
	if len(damaged) == 0 {
		return nil
	}
	l.peer.mu.Lock()
	window := l.peer.window
	l.peer.mu.Unlock()
	// In all no longer than one question may take: the others wait for the turn.
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	mended := 0
	for _, at := range damaged {
		if window.files() == 0 {
			break
		}
		place := comntr.Place{Community: l.c.hash, Topic: at.topic}
		b, err := l.comment(ask, place, at.comment)
		var p *comntr.Problem
		if errors.As(err, &p) && p.Status != http.StatusTooManyRequests {
			l.lacks.add(at, now)
			continue
		}
		if err != nil && ask.Err() != nil && ctx.Err() == nil {
			l.lacks.add(at, now)
			break
		}
		if err != nil {
			return err
		}
		if !window.takeFile(len(b)) {
			break
		}
		doc, err := comntr.ParseDocument(place, b)
		if err != nil {
			l.lacks.add(at, now) // no server has it otherwise: the name is its hash
			continue
		}
		if _, err := l.c.store.Add(ctx, doc, l.peer.key); err != nil {
			// Full or denied since, or the file cannot be written: the rounds tell
			// of that already.
			l.lacks.add(at, now)
			l.r.cfg.Log.Debug("a damaged comment could not be written anew", "topic", at.topic, "comment", at.comment, "err", err)
			continue
		}
		l.lacks.forget(at)
		mended++
	}
	if mended > 0 {
		l.r.cfg.Log.Info("damaged comments were fetched again", "community", l.c.hash, "peer", l.origin(), "count", mended)
	}
	return nil
}
