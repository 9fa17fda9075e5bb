import CMQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The exclusive queue mutex's frames: stand in line; with the turn declare the queue and watch it, in one write. Delete it,
/// wait for the answer, leave the line.
final class RawExclusiveQueue: RawLock {
    private let line: RawLine
    private let lock: RawText
    /// Where the lock's queue is declared and deleted; another when the broker has closed it.
    private var channel: UInt16

    private static let kind = RawQueueKind(isExclusive: true)
    private static let tag = RawText("queue")
    private static let resourceLocked: UInt16 = 405

    private var connection: RawConnection { line.connection }

    init(uri: String, queue: String) throws {
        line = try RawLine(uri: uri, queue: queue)
        lock = RawText("\(queue)/lock")
        channel = try line.connection.openChannel()
    }

    func make() throws { try line.make() }

    func acquire() throws {
        try line.acquire()
        // As ours: a dead holder's queue goes a little later than its place in line.
        var pause: UInt32 = 10_000
        while try !claim() {
            usleep(pause)
            pause *= 3
            channel = try connection.openChannel()
        }
    }

    func release() throws {
        try connection.delete(lock, on: channel)
        while true {
            let (channel, event) = try connection.nextEvent()
            if case .deleted = event, channel == self.channel { break }
        }
        try line.release()
    }

    /// False when the queue is another's.
    private func claim() throws -> Bool {
        try connection.together {
            try connection.declare(lock, Self.kind, on: channel)
            try connection.consume(lock, tag: Self.tag, noAck: true, on: channel)
        }
        while true {
            let (channel, event) = try connection.nextEvent()
            switch event {
            case .consuming where channel == self.channel: return true
            case .closed(code: Self.resourceLocked) where channel == self.channel: return false
            case .closed(let code): throw RawConnection.Failure(description: "the broker closed a channel (\(code))")
            default: break
            }
        }
    }
}
