import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Every number of the configuration, at every limit: it is taken or refused, and never traps.
@Suite struct ConfigurationLimitsTests {
    static let durations: [(name: String, set: @Sendable (inout RabbitMQLocks.Configuration, Duration) -> Void)] = [
        ("heartbeat", { $0.heartbeat = $1 }), ("margin", { $0.margin = $1 }),
        ("connectTimeout", { $0.connectTimeout = $1 }), ("requestTimeout", { $0.requestTimeout = $1 }),
        ("sticky", { $0.sticky = $1 }),
        ("startupTimeout", { $0.startupTimeout = $1 }), ("drainTimeout", { $0.drainTimeout = $1 }),
        ("acknowledgementTimeout", { $0.acknowledgementTimeout = $1 }),
        ("backoff", { $0.backoff = $1...max($1, .seconds(5)) }),
        ("longest backoff", { $0.backoff = min($1, .milliseconds(1))...max($1, .milliseconds(1)) }),
    ]

    @Test(arguments: durations.map(\.name), Duration.extremes)
    func everyDurationIsTakenOrRefused(_ name: String, _ duration: Duration) throws {
        let (_, set) = try #require(Self.durations.first { $0.name == name })
        for mutex in RabbitMQLocks.Mutex.allCases {
            var configuration = RabbitMQLocks.Configuration(uri: "amqp://h", mutex: mutex)
            set(&configuration, duration)
            do throws(LockError) {
                let settings = try SessionSettings(configuration)
                #expect(duration >= .zero)
                // What is calculated with them later.
                let now = ContinuousClock.now
                for sum in [
                    settings.patience, settings.maximumHold, settings.renewalInterval, settings.connectTimeout,
                    settings.proofWindow(heartbeat: .seconds(settings.endpoint.heartbeat)),
                    settings.backoff.delay(before: .max), TokenLock.patience(behind: .max, settings),
                ] {
                    #expect(now.after(sum) >= now)
                }
                _ = try RabbitMQLocks(configuration)
                _ = try RabbitMQInspector(configuration)
            } catch {
                #expect(error.code == .invalidConfiguration)
                #expect(duration < .seconds(1) || ["heartbeat", "margin", "sticky"].contains(name), "\(error)")
            }
        }
    }

    @Test func negativeNumbersAreRefused() {
        for (name, set) in Self.durations {
            var configuration = RabbitMQLocks.Configuration(uri: "amqp://h")
            set(&configuration, .seconds(-1))
            let error = #expect(throws: LockError.self, "\(name)") { try RabbitMQLocks(configuration) }
            #expect(error?.code == .invalidConfiguration)
        }
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h")
        for number in [-1, Int.min] {
            configuration.maximumWaiters = number
            let error = #expect(throws: LockError.self) { try RabbitMQLocks(configuration) }
            #expect(error?.code == .invalidConfiguration)
        }
        configuration.maximumWaiters = .max
        #expect(throws: Never.self) { try RabbitMQLocks(configuration) }
    }

    @Test(arguments: ["heartbeat=65535&", "", "connection_timeout=86400000&"])
    func everyDurationOfAURIAtItsLimit(_ query: String) throws {
        let uri = "amqp://h?\(query)consumer_timeout=\(Int64.max)"
        let settings = try SessionSettings(RabbitMQLocks.Configuration(uri: uri, mutex: .token))
        #expect(ContinuousClock.now.after(settings.maximumHold) > .now && settings.patience > .zero)
    }

    @Test(arguments: [("", 0), ("0", 0), ("500ms", 500), ("1m", 60_000)] as [(String, Int64)])
    func aStayInTheURICountsUnlessTheConfigurationHasOne(_ text: String, _ milliseconds: Int64) throws {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h" + (text.isEmpty ? "" : "?sticky=\(text)"))
        #expect(try SessionSettings(configuration).sticky == .milliseconds(milliseconds))
        configuration.sticky = .seconds(2)
        #expect(try SessionSettings(configuration).sticky == .seconds(2))
    }

    @Test(arguments: ["", "x", "-1s", "61s", "2m", "1000000000000h"]) func anImpossibleStayIsRefused(_ text: String) {
        let error = #expect(throws: LockError.self) { try RabbitMQLocks(.init(uri: "amqp://h?sticky=\(text)")) }
        #expect(error?.code == .invalidConfiguration)
    }

    /// A delay of nothing would be a loop.
    @Test func aBackoffOfNothingIsRefused() {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h")
        configuration.backoff = .zero ... .seconds(5)
        let error = #expect(throws: LockError.self) { try RabbitMQLocks(configuration) }
        #expect(error?.code == .invalidConfiguration)
    }
}
