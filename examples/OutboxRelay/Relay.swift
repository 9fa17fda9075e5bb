import ExamplesShared
import Foundation
import MQLock

/// Moves records from the outbox to the queue, while it leads.
struct Relay: Sendable {
    let name: String
    let outbox: Outbox
    let publisher: QueuePublisher
    /// Whether to stand still between publishing and marking, for the tests.
    let standsStill: Bool

    /// Moves one record after the other, until the leadership ends.
    ///
    /// **Why publish, then mark.** A leader that is killed in between leaves a record that is published and not marked;
    /// its successor publishes it again. The other way round the record would be missing. So the queue can have a
    /// record twice, at the change of leaders, and its reader drops numbers that it has seen. First appearances have
    /// the order of the outbox: the next record is published after the last one was confirmed and marked.
    ///
    /// **Why the gate.** A leader that was stopped in between resumes when others have led. What it marks then would
    /// not be the next record any more. The gate refuses its token, the body throws, and it campaigns again.
    func lead(_ leadership: Leadership) async throws {
        Program.say("\(name): leads, token \(leadership.fencingToken)")
        while true {
            let number = try outbox.position(under: leadership) + 1
            guard let record = outbox.record(number) else {
                try await Task.sleep(for: .milliseconds(50))
                continue
            }
            // This does not keep other leaders out, but it saves most duplicates.
            try leadership.check(atLeast: .milliseconds(100))
            try await publisher.publish("\(number) \(leadership.fencingToken) \(record)")
            if standsStill { Program.standStill(name) }
            try outbox.markMoved(number, under: leadership)
            Program.say("\(name): moved record \(number)")
        }
    }
}

/// The examples' publisher, which blocks, off Swift's own threads.
final class QueuePublisher: @unchecked Sendable {
    private let thread = DispatchQueue(label: "outbox.publisher")
    private let publisher: Publisher

    init(_ address: BrokerAddress, _ queue: String) { publisher = Publisher(address, queue: queue) }

    /// Returns when the broker has the message on its disk.
    func publish(_ message: String) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            thread.async { [self] in
                continuation.resume(with: Result { try publisher.publish(Array(message.utf8)) })
            }
        }
    }
}
