package ipfs

import (
	"context"
	"sync"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
)

// Bounds of what strangers make a node of the DHT remember, in memory.
const (
	maxProviderRecords = 200_000 // who provides what: about 300 bytes each
	maxValueRecords    = 1_000   // IPNS and keys: some KB each; nothing of ours
)

// records is the DHT's store of others' records. When it is full a random
// record goes: each is at some twenty nodes, so that who floods one of them
// gains little.
type records struct {
	ds.Batching
	max int

	mu   sync.Mutex
	keys map[ds.Key]struct{}
}

func newRecords(max int) *records {
	return &records{Batching: dssync.MutexWrap(ds.NewMapDatastore()), max: max, keys: make(map[ds.Key]struct{})}
}

// Put stores a record.
func (r *records) Put(ctx context.Context, k ds.Key, v []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.keys[k]; !ok && len(r.keys) >= r.max {
		for old := range r.keys { // in the map's order, which is random
			delete(r.keys, old)
			if err := r.Batching.Delete(ctx, old); err != nil {
				return err
			}
			break
		}
	}
	r.keys[k] = struct{}{}
	return r.Batching.Put(ctx, k, v)
}

// Delete removes a record.
func (r *records) Delete(ctx context.Context, k ds.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, k)
	return r.Batching.Delete(ctx, k)
}

// Batch returns a batch that goes through Put and Delete above.
func (r *records) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(r), nil }
