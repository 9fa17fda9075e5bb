import MQLock
import Testing

@testable import MQLockKafka
@testable import MQLockRabbitMQ

/// Every delay between two tries of the whole package, over every counter that it can meet and far beyond.
@Suite struct DelayTests {
    static let counters: [Int] =
        Array(-3...3000)
        + (12..<63).flatMap { exponent in [-1, 0, 1].map { 1 << exponent + $0 } } + [
            .min, .min + 1, -1 << 40, .max - 1, .max,
        ]

    private static func rabbitMQ(_ range: ClosedRange<Duration>) throws -> GrowingDelay {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h")
        configuration.backoff = range
        return try SessionSettings(configuration).backoff
    }

    private static func growing() throws -> [(what: String, delay: GrowingDelay)] {
        var all = [
            ("elections", GrowingDelay(ElectionSettings().backoff)),
            ("sessions", try rabbitMQ(RabbitMQLocks.Configuration().backoff)),
            ("memberships", GrowingDelay(ShardOwnership.Configuration(topic: "t", partitions: 1).backoff)),
            ("publish connections", PublishConnection.pause), ("listeners", ControlListener.pause),
            ("lines", LineLock.pause), ("declaring", LineLock.declarePause), ("seeding", LineLock.seedPause),
            ("tokens", TokenLock.pause),
        ]
        // What users can set.
        for first in Duration.extremes {
            for longest in Duration.extremes where longest >= first {
                all.append(("\(first) ... \(longest)", GrowingDelay(first...longest)))
                if first > .zero { all.append(("\(first) ... \(longest)", try rabbitMQ(first...longest))) }
            }
        }
        return all
    }

    @Test func everyGrowingDelayOverEveryCounter() throws {
        for (what, delay) in try Self.growing() {
            var last = Duration.zero
            for counter in Self.counters.sorted() {
                let (least, most) = (
                    delay.delay(before: counter, random: 0), delay.delay(before: counter, random: 1000)
                )
                // No busy loop, no wait beyond the limit, and never sooner than before.
                guard least > .zero, least * 2 <= most, most <= delay.longest, most >= last else {
                    Issue.record("\(what): \(least) to \(most) before try \(counter), and \(last) before")
                    break
                }
                last = most
            }
            #expect(last == delay.longest, "\(what) does not reach its longest")
            for random in [Int.min, -1, 1001, .max] {
                #expect(delay.first / 2...delay.longest ~= delay.delay(before: 1, random: random))
            }
        }
    }

    @Test func theyDoubleUpToTheirLimit() {
        let delay = GrowingDelay(.milliseconds(100) ... .seconds(1))
        #expect(
            (1...6).map { delay.delay(before: $0, random: 1000) } == [
                .milliseconds(100), .milliseconds(200), .milliseconds(400), .milliseconds(800), .seconds(1),
                .seconds(1),
            ])
        #expect(delay.delay(before: 1, random: 500) == .milliseconds(75))
    }

    /// 48 refusals are five minutes behind a holder that no session owns.
    @Test func refusalsOfAnExclusiveQueue() {
        var last = Duration.zero
        for refusals in Self.counters.sorted() {
            let pause = Claim.pause(after: refusals, random: 1000)
            #expect(pause >= .milliseconds(10) && pause <= .seconds(8) && pause >= last)
            last = pause
        }
        #expect(last == .seconds(8))
    }

    /// The counter is the broker's.
    @Test func consumersInFrontOfAToken() throws {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h", mutex: .token)
        for timeout in Duration.extremes where timeout >= .seconds(60) {
            configuration.acknowledgementTimeout = timeout
            let settings = try SessionSettings(configuration)
            var last = Duration.zero
            for consumers in Self.counters.compactMap({ UInt32(exactly: $0) }).sorted() + [.max] {
                let patience = TokenLock.patience(behind: consumers, settings)
                #expect(patience <= .longest && patience + .seconds(1) >= last && patience >= .seconds(60))
                last = patience
            }
        }
    }
}
