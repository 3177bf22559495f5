package redis

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley/internal/notes"
)

// Notify implements [parley.Notifier].
func (s *Store) Notify(ctx context.Context, topic string, note []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	data, err := notes.Encode(topic, note)
	if err != nil {
		return s.wrap("send a note", err)
	}
	return s.wrap("send a note", s.publish(ctx, data))
}

// publish sends a note once. In a cluster it goes by way of one and the same
// server, because by several the order would be lost.
func (s *Store) publish(ctx context.Context, data []byte) error {
	channel := s.channel()
	cmd := once{redis.NewIntCmd(ctx, "publish", channel, data)}
	if nodes, ok := s.db.(*redis.ClusterClient); ok {
		node, err := nodes.MasterForKey(ctx, channel)
		if err != nil {
			return err
		}
		return node.Process(ctx, cmd)
	}
	return s.db.Process(ctx, cmd)
}

func (s *Store) channel() string { return s.prefix + ":notes" }

// Listen implements [parley.Notifier].
func (s *Store) Listen(topic string, hear func(note []byte)) (stop func()) {
	return s.hub.Listen(topic, hear)
}

// heartbeat is how long a subscription may be silent before it is asked for a
// sign of life. After as long again it is given up for another.
const heartbeat = 2 * time.Second

// subscribe subscribes to the notes and hears them from then on.
func (s *Store) subscribe(ctx context.Context) error {
	sub := s.db.Subscribe(ctx, s.channel())
	if _, err := sub.ReceiveTimeout(ctx, callTimeout); err != nil { // the confirmation
		return errors.Join(err, sub.Close())
	}
	s.background.Go(func() {
		s.hear(sub)
		for s.life.Err() == nil {
			s.hear(s.db.Subscribe(s.life, s.channel()))
		}
	})
	return nil
}

// hear hands notes to those who listen, until the store is closed or the
// subscription falls silent. One whose connection breaks heals by itself.
func (s *Store) hear(sub *redis.PubSub) {
	defer sub.Close()
	defer context.AfterFunc(s.life, func() { sub.Close() })() // which ends waiting
	asked := false
	for s.life.Err() == nil {
		message, err := sub.ReceiveTimeout(s.life, heartbeat)
		var late net.Error
		switch {
		case err == nil:
			asked = false
			s.deliver(message)
		case !errors.As(err, &late) || !late.Timeout():
			s.pause(100 * time.Millisecond) // the next call connects again
		case asked:
			return
		default:
			asked = true
			sub.Ping(s.life) // should it fail, so does the next call
		}
	}
}

func (s *Store) deliver(message any) {
	m, ok := message.(*redis.Message)
	if !ok {
		return // a sign of life
	}
	if err := s.hub.Deliver([]byte(m.Payload)); err != nil {
		s.log.Warn("somebody else publishes where notes are expected", "store", "redis", "channel", s.channel(), "error", err)
	}
}

// pause waits, unless the store is closed.
func (s *Store) pause(d time.Duration) {
	select {
	case <-s.life.Done():
	case <-time.After(d):
	}
}
