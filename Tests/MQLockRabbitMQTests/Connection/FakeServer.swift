@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A listener on the loopback that says what it is told to, to every client in turn, and then waits for it to go.
final class FakeServer: Sendable {
    let port: Int
    private let listener: Int32

    /// nil instead of bytes: hang up.
    /// - Parameter trickles: a byte every now and then.
    init(saying reply: [UInt8]?, reads: Bool = true, trickles: Bool = false) throws {
        let socket = try LoopbackListener(backlog: 8)
        let listener = socket.descriptor
        (self.listener, port) = (listener, socket.port)
        _ = LoopThread.start(name: "fake-server") {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    close(listener)
                    return
                }
                if let reply {
                    if trickles {
                        for byte in reply where send(client, [byte], 1, Int32(MSG_NOSIGNAL)) == 1 { usleep(100_000) }
                    } else {
                        _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
                    }
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    if !reads {
                        var gone = pollfd(fd: client, events: 0, revents: 0)
                        poll(&gone, 1, 30_000)
                    }
                    while read(client, &buffer, buffer.count) > 0 {}
                }
                close(client)
            }
        }
    }

    /// Makes `accept` fail. Only the thread closes the descriptor: else it could come to accept the clients of another
    /// server that was given the same number.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }
}
