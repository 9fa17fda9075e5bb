import ExamplesShared
import MQLock

/// Reads the queue as its readers should, and compares it with the outbox.
struct Audit: Sendable {
    let outbox: Outbox
    let queue: String

    /// The messages that arrived, without repeated ones.
    struct Inbox {
        private(set) var accepted = 0
        private(set) var repeated = 0

        /// - Throws: for a number that nobody should see yet.
        mutating func receive(_ message: [UInt8]) throws {
            let words = String(decoding: message, as: UTF8.self).split(separator: " ", maxSplits: 2)
            guard words.count == 3, let number = Int(words[0]) else { throw ExampleError("a message that is not ours") }
            if number <= accepted {
                repeated += 1
            } else if number == accepted + 1 {
                accepted = number
            } else {
                throw ExampleError("record \(number) came after record \(accepted)")
            }
        }
    }

    /// Ends when all records have come, and those that the gate has let through are complete and in order.
    func run(_ address: BrokerAddress, expecting count: Int) async throws {
        let consumer = Consumer(address, queue: queue)
        defer { consumer.close() }
        var inbox = Inbox()
        for try await delivery in consumer.deliveries {
            try inbox.receive(delivery.body)
            consumer.settle(delivery, .done)
            if inbox.accepted == count { break }
        }
        let history = outbox.history
        guard history.map(\.number) == Array(1...count) else {
            throw ExampleError("the gate let through \(history.map(\.number))")
        }
        guard zip(history, history.dropFirst()).allSatisfy({ $0.token <= $1.token }) else {
            throw ExampleError("a former leader came through the gate")
        }
        let leaders = Set(history.map(\.token)).count
        Program.say(
            "\(count) records in order, once each at the gate; \(leaders) leaders, \(inbox.repeated) repeated in the queue"
        )
    }
}
