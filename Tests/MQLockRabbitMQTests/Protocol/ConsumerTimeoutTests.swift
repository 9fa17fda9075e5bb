import MQLock
import Testing

@testable import MQLockRabbitMQ

/// A broker's acknowledgement timeout that is not the one we were told.
@Suite struct ConsumerTimeoutTests {
    /// In the words of 3.10.8 and of 4.0.5.
    @Test func theBrokerNamesIt() {
        func named(_ text: String, code: UInt16 = 406) -> Duration? {
            ConsumerTimeout.named(in: ChannelFault(code: code, text: text))
        }
        let words = """
            PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. Timeout value used: 3000 ms. This timeout \
            value can be configured, see consumers doc guide to learn more
            """
        #expect(named(words) == .seconds(3))
        #expect(named(words, code: 404) == nil)
        for number in ["-1", "0", "", "99999999999999999999", "²"] {
            #expect(named("Timeout value used: \(number) ms") == nil, "\(number)")
        }
        #expect(named("Timeout value used: \(Int64.max) ms") == .milliseconds(Int64.max))
    }

    /// It refuses nothing by that, so whoever waits goes on; on 4.3 without naming the timeout.
    @Test func whatIsTakenBackIsNoRefusal() {
        let words = "PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. Timeout value used: -1 ms."
        #expect(ChannelFault(code: 406, text: words).isOverdue)
        #expect(!ChannelFault(code: 404, text: words).isOverdue)
        for text in [
            "PRECONDITION_FAILED - unknown delivery tag 7",
            "PRECONDITION_FAILED - inequivalent arg 'x' for queue '\(words)'",
        ] {
            #expect(!ChannelFault(code: 406, text: text).isOverdue)
        }
    }

    @Test func theURISaysIt() throws {
        func settings(_ query: String) throws -> SessionSettings {
            try SessionSettings(.init(uri: "amqp://127.0.0.1/%2F?heartbeat=2&\(query)"))
        }
        let hour = try settings("consumer_timeout=3600000")
        #expect(hour.acknowledgementTimeout == .seconds(3600))
        #expect(hour.renewalInterval == hour.maximumHold / 2)
        for wrong in ["0", "-1", "", "an hour", "1.5", "99999999999999999999"] {
            #expect(throws: LockError.self) { try settings("consumer_timeout=\(wrong)") }
        }
        // Two heartbeats and the margin are to fit in.
        #expect(throws: LockError.self) { try settings("consumer_timeout=4000") }
    }

    @Test func aShorterOneIsLearnedAndALongerOneIsNot() throws {
        let before = try SessionSettings(.init(uri: "amqp://127.0.0.1/%2F?heartbeat=2"))
        for seconds in [10, 60, 1799] {
            var settings = before
            let helps = settings.learn(consumerTimeout: .seconds(seconds))
            #expect(helps)
            #expect(settings.acknowledgementTimeout == .seconds(seconds))
            #expect(settings.maximumHold > .zero && settings.renewalInterval == settings.maximumHold / 2)
        }
        var settings = before
        let isNoWorse = settings.learn(consumerTimeout: .seconds(3600))
        #expect(isNoWorse)
        #expect(settings.acknowledgementTimeout == before.acknowledgementTimeout)
        let isEnough = settings.learn(consumerTimeout: .seconds(3))
        #expect(!isEnough, "nothing is left to hold")
        #expect(settings.acknowledgementTimeout == before.acknowledgementTimeout)
    }
}
