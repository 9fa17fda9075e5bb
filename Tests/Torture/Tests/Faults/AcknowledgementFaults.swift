import MQLock
import Testing

@testable import MQLockRabbitMQ

/// RabbitMQ takes back what is not acknowledged in time, by closing the channel.
extension PatientTortureTests {
    /// What can go wrong, with every mutex: see the article *Faults*.
    @Suite struct FaultTests {}
}

extension PatientTortureTests.FaultTests {
    /// The adapter knows the timeout: a mutex with a limit ends its hold before, one that renews outlives it.
    @Test func acknowledgementTimeout() async throws {
        try await withAcknowledgementTimeout(.seconds(4), on: .ofPatience()) { broker in
            // The waiter's own hold has the same limit, which a busy machine lets it come to.
            let options = Stage.Options(strikesWaiterToo: true) { $0.acknowledgementTimeout = .seconds(4) }
            try await strike(.acknowledgementTimeout, on: broker, options) { stages in
                try await stages.each { stage in
                    // Twice the timeout and twice the interval at which the broker looks.
                    if stage.program.capabilities.maximumHold == nil {
                        try await stage.holderKeeps(for: .seconds(9))
                        stage.strike()
                        try await stage.holderReleases()
                        try await stage.waiterIsServed("next, at the release")
                    } else {
                        try await stage.holderIsNotified()
                        try await stage.waiterIsServed()
                        // Before its own hold comes to the limit.
                        try await stage.waiter.release()
                    }
                }
            }
        }
    }

    /// It was told half an hour, and the broker thinks otherwise. An exclusive queue is no delivery: its hold goes on, though
    /// its place in line is gone.
    @Test func unknownAcknowledgementTimeout() async throws {
        try await withAcknowledgementTimeout(.seconds(15), on: .ofPatience()) { broker in
            // Long enough for a busy machine to set the scene, before the holder's hold ends, and the waiter's.
            try await strike(.unknownAcknowledgementTimeout, on: broker, .init(strikesWaiterToo: true)) { stages in
                try await stages.each { stage in
                    guard stage.mutex.description == "exclusive" else {
                        try await stage.holderIsNotified()
                        return try await stage.waiterIsServedAtOnce()
                    }
                    // Twice the timeout and twice the interval at which the broker looks.
                    try await stage.holderKeeps(for: .seconds(34))
                    stage.strike()
                    try await stage.holderReleases()
                    try await stage.waiterIsServed("next, within 10 s of the release")
                }
            }
        }
    }

    /// Up to 4.2 the broker says what its timeout is when it ends a hold: the next one is renewed in time for it.
    @Test func theTimeoutIsLearned() async throws {
        try await withAcknowledgementTimeout(.seconds(8), on: .ofPatience()) { broker in
            guard BrokerBehavior(broker.version).overdue == .closesChannel else { return }
            try await broker.withName { name in
                let events = EventLog()
                let locks = try broker.locks("heartbeat=1", mutex: .singleActiveConsumer, observer: events)
                let first = Contender(locks, name)
                #expect(try await first.lease().lossReason()?.kind == .channelClosed)
                try await first.release()
                let second = Contender(locks, name)
                let lease = try await second.lease()
                // Twice the timeout, and the intervals at which the broker looks.
                try await Task.sleep(for: .seconds(18))
                #expect(lease.isValid)
                #expect(try await second.release() == nil)
                #expect(events.events.contains { $0.detail?.contains("consumer_timeout=8000") == true })
                await locks.shutdown()
            }
        }
    }
}

/// For channels that are opened meanwhile: the broker looks every second, not every minute, for deliveries that are older
/// than `timeout`.
func withAcknowledgementTimeout(
    _ timeout: Duration, on node: PrivateNode, _ body: (LiveBroker) async throws -> Void
) async throws {
    let broker = node.broker
    func set(timeout: Duration, tick: Duration) async throws {
        try await broker.ctl(
            "eval",
            """
            application:set_env(rabbit, consumer_timeout, \(timeout.nanoseconds / 1_000_000)),
            application:set_env(rabbit, channel_tick_interval, \(tick.nanoseconds / 1_000_000)).
            """)
    }
    /// RabbitMQ's own.
    func setDefaults() async throws { try await set(timeout: .seconds(1800), tick: .seconds(60)) }
    try await set(timeout: timeout, tick: .seconds(1))
    do { try await body(broker) } catch {
        try await setDefaults()
        throw error
    }
    try await setDefaults()
}
