import MQLock
import MQLockRabbitMQ
import Testing

/// RabbitMQ takes back what is not acknowledged in time, by closing the channel.
extension TortureTests.FaultTests {
    /// The adapter knows the timeout: a mutex with a limit ends its hold before, one that renews outlives it.
    @Test func acknowledgementTimeout() async throws {
        try await withAcknowledgementTimeout(.seconds(4)) { broker in
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
                        try await stage.holderIsTold()
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
        try await withAcknowledgementTimeout(.seconds(3)) { broker in
            // The waiter's own hold ends like the holder's when a busy machine takes that long.
            try await strike(.unknownAcknowledgementTimeout, on: broker, .init(strikesWaiterToo: true)) { stages in
                try await stages.each { stage in
                    guard stage.mutex.description == "exclusive" else {
                        try await stage.holderIsTold()
                        return try await stage.waiterIsServedAtOnce()
                    }
                    // Twice the timeout and twice the interval at which the broker looks.
                    try await stage.holderKeeps(for: .seconds(8))
                    stage.strike()
                    try await stage.holderReleases()
                    try await stage.waiterIsServed("next, within 10 s of the release")
                }
            }
        }
    }
}

/// For channels that are opened meanwhile: the broker looks every second, not every minute, for deliveries that are older
/// than `timeout`.
func withAcknowledgementTimeout(_ timeout: Duration, _ body: (LiveBroker) async throws -> Void) async throws {
    let broker = try await PrivateNode.shared().broker
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
