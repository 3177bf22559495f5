// Package middleware is what stands between the network and the chat: each
// piece is a func(http.Handler) http.Handler, or a constructor that checks its
// settings and returns one.
//
// Around the whole server, the outermost first:
//
//   - [ClientAddr] puts the client's address into RemoteAddr, so that all others
//     see it.
//   - [RequestID] names the request.
//   - [AccessLog] writes one line about it, whatever happens inside.
//   - [Recover] answers in place of a handler that panicked. These three share
//     what they know of the request, so nothing stands between them.
//   - [SecurityHeaders] is outside everything that can refuse a request, so
//     that refusals carry them too.
//   - compress.Handler, a package of its own, because it needs a library.
//
// Within CORS, as [parley.Config.Middleware], so that pages can read a refusal:
//
//   - [CSRF.Check] refuses forged tokens.
//   - [RateLimit] refuses what is too much from one client.
//
// Nothing here reads the environment or files, and nothing keeps state outside
// of what its constructor returned. Everything is safe for concurrent use.
package middleware
