//go:build !unix

package store

import (
	"errors"
	"fmt"
	"io"
)

// Lock needs flock(2), which this system does not have.
func Lock(data string) (io.Closer, error) {
	return nil, fmt.Errorf("lock the data folder %s: %w", data, errors.ErrUnsupported)
}
