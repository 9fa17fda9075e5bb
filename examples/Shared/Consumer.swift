import Foundation
import Synchronization

/// A message that the broker handed to us and waits to hear about.
public struct Delivery: Sendable {
    let tag: UInt64
    /// Whether another consumer may have worked on it before.
    public let isRedelivered: Bool
    /// The content that the producer published.
    public let body: [UInt8]
}

/// The messages of a queue, one at a time, over a connection of its own.
///
/// The connection lives on a thread of its own, so heartbeats continue while a message is being processed, and no
/// thread of Swift's pool is blocked.
public final class Consumer: Sendable {
    /// The result of a message.
    public enum Verdict: Sendable {
        /// Never deliver it again.
        case done
        /// Deliver it again, to any free consumer.
        case putBack
        /// Nobody can use it.
        case throwAway
    }

    /// The messages. Ends by throwing when the connection is lost; messages that were not settled then come again
    /// elsewhere.
    public let deliveries: AsyncThrowingStream<Delivery, any Error>
    private let inbox = Inbox()

    /// Connects; a failure is reported by ``deliveries``.
    public init(_ address: BrokerAddress, queue: String) {
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: Delivery.self)
        deliveries = stream
        Thread.detachNewThread { [inbox] in
            do {
                let connection = try BrokerConnection(address)
                try connection.declare(queue)
                // One: a second order would wait here for the first one's lock while other workers are idle.
                try connection.consume(queue, prefetch: 1)
                let pause = Int32(address.heartbeat) * 1000 / 4
                while let settled = inbox.takeAll() {
                    for (tag, verdict) in settled { try connection.settle(tag, verdict) }
                    while let delivery = try connection.nextDelivery() { continuation.yield(delivery) }
                    inbox.wait(orReadable: connection.descriptor, milliseconds: pause)
                }
                connection.close()
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }

    /// Reports a message's result to the broker. Does nothing when the connection is lost: then the message is not
    /// ours.
    public func settle(_ delivery: Delivery, _ verdict: Verdict) { inbox.add((delivery.tag, verdict)) }

    /// Ends the connection; messages that were not settled come again elsewhere.
    public func close() { inbox.close() }
}

/// Other threads' requests to the connection's thread, and a pipe that wakes it.
private final class Inbox: Sendable {
    private struct State {
        var settled: [(UInt64, Consumer.Verdict)] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let bell = Pipe()

    func add(_ item: (UInt64, Consumer.Verdict)) {
        state.withLock { $0.settled.append(item) }
        ring()
    }

    func close() {
        state.withLock { $0.isClosed = true }
        ring()
    }

    /// Everything since the last call; nil when closed and nothing is left.
    func takeAll() -> [(UInt64, Consumer.Verdict)]? {
        state.withLock { state in
            defer { state.settled = [] }
            return state.isClosed && state.settled.isEmpty ? nil : state.settled
        }
    }

    func wait(orReadable socket: Int32, milliseconds: Int32) {
        let reading = bell.fileHandleForReading.fileDescriptor
        var watched = [socket, reading].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        poll(&watched, 2, milliseconds)
        var bytes = [UInt8](repeating: 0, count: 64)
        if watched[1].revents != 0 { _ = read(reading, &bytes, bytes.count) }
    }

    private func ring() { try? bell.fileHandleForWriting.write(contentsOf: [0]) }
}
