import MQLock
import Testing

@testable import MQLockRabbitMQ

/// How many round trips a program needs from its start until its first lock is granted.
@Suite("First use", .serialized, .timeLimit(.minutes(2)))
struct FirstUseTests {
    /// A raw client's: it opens a socket, sends protocol header, login and vhost one after the other, and then all that it
    /// needs to consume, at once.
    private static let raw = 5

    /// A name that somebody has used before: a proof of life comes first, and the queue is declared before it is consumed.
    /// The register of a token has to show that it is up, which takes a message, and so the second connection.
    @Test(arguments: [
        (RabbitMQLocks.Mutex.singleActiveConsumer, raw + 2), (.token, raw + 11), (.exclusiveQueue, raw + 3),
    ])
    func aWarmName(_ mutex: RabbitMQLocks.Mutex, _ most: Int) async throws {
        try await expect(most, mutex, isCold: false)
    }

    /// A name that nobody has used: its token comes over a second connection, which has to be opened and logged in.
    @Test(arguments: [
        (RabbitMQLocks.Mutex.singleActiveConsumer, raw + 7), (.token, raw + 12), (.exclusiveQueue, raw + 8),
    ])
    func aColdName(_ mutex: RabbitMQLocks.Mutex, _ most: Int) async throws {
        try await expect(most, mutex, isCold: true)
    }

    /// A pause of this process in the middle of a turn can make two of it, and nothing can make fewer: the least counts.
    private func expect(_ most: Int, _ mutex: RabbitMQLocks.Mutex, isCold: Bool) async throws {
        var least = Int.max
        for _ in 0..<5 where least > most {
            let broker = try FakeBroker(distance: .milliseconds(40))
            if !isCold {
                let before = try locks(broker, mutex)
                try await before.acquire("first", within: .seconds(60)).release()
                await before.shutdown()
            }
            broker.countTurns()
            let locks = try locks(broker, mutex)
            let held = try await locks.acquire("first", within: .seconds(60))
            least = min(least, broker.turns)
            try await held.release()
            await locks.shutdown()
        }
        #expect(least <= most)
        // As many as there are at least: less means that they are not counted.
        #expect(least >= Self.raw)
    }

    private func locks(_ broker: FakeBroker, _ mutex: RabbitMQLocks.Mutex) throws -> RabbitMQLocks {
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri, mutex: mutex)
        configuration.answersQuestions = false
        return try RabbitMQLocks(configuration)
    }
}
