// The other side of the erasure coding benchmark: klauspost/reedsolomon on one goroutine.
// A line "encode|decode K M SHARD_BYTES TIMES" on standard input is answered by the nanoseconds it took.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"time"

	"github.com/klauspost/reedsolomon"
)

type stripe struct {
	encoder reedsolomon.Encoder
	shards  [][]byte
}

func open(k, m, shardBytes int) (*stripe, error) {
	encoder, err := reedsolomon.New(k, m, reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, err
	}
	shards := reedsolomon.AllocAligned(k+m, shardBytes)
	random := rand.New(rand.NewSource(1))
	for _, shard := range shards[:k] {
		random.Read(shard)
	}
	return &stripe{encoder, shards}, encoder.Encode(shards)
}

// Brings back the first m data shards from the rest, into the memory they had.
func (s *stripe) decode(m int) error {
	for i := 0; i < m; i++ {
		s.shards[i] = s.shards[i][:0]
	}
	return s.encoder.Reconstruct(s.shards)
}

func run() error {
	stripes := map[[3]int]*stripe{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var what string
		var k, m, shardBytes, times int
		if _, err := fmt.Sscan(lines.Text(), &what, &k, &m, &shardBytes, &times); err != nil {
			return err
		}
		key := [3]int{k, m, shardBytes}
		if stripes[key] == nil {
			// One set of buffers at a time, as on the other side.
			stripes = map[[3]int]*stripe{}
			opened, err := open(k, m, shardBytes)
			if err != nil {
				return err
			}
			stripes[key] = opened
		}
		s := stripes[key]
		start := time.Now()
		for i := 0; i < times; i++ {
			err := error(nil)
			if what == "encode" {
				err = s.encoder.Encode(s.shards)
			} else {
				err = s.decode(m)
			}
			if err != nil {
				return err
			}
		}
		fmt.Println(time.Since(start).Nanoseconds())
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
