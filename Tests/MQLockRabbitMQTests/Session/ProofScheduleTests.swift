import MQLock
import Testing

@testable import MQLockRabbitMQ

@Suite struct ProofScheduleTests {
    private let start = ContinuousClock.now

    private func schedule() -> ProofSchedule {
        ProofSchedule(window: .seconds(18), heartbeat: .seconds(10), start: start)
    }

    @Test func anAnswerProvesFromTheSendingOfItsOwnRequest() {
        var schedule = schedule()
        schedule.sending(at: start)
        schedule.sending(at: start + .seconds(3))
        // Both answers come together, much later; when does not matter.
        #expect(schedule.answered() == start + .seconds(18))
        #expect(schedule.answered() == start + .seconds(21))
        #expect(schedule.answered() == nil)
    }

    @Test func asksEveryQuarterOfTheHeartbeat() {
        var schedule = schedule()
        #expect(schedule.nextRequest == start)
        schedule.sending(at: start)
        #expect(schedule.nextRequest == start + .milliseconds(2500))
        // A pulse that comes late does not make up for what it missed.
        schedule.sending(at: start + .seconds(9))
        #expect(schedule.nextRequest == start + .milliseconds(11_500))
    }

    @Test func isOverdueWhenTheNextRequestIsDueBeforeTheAnswer() {
        var schedule = schedule()
        #expect(!schedule.isOverdue(at: start + .seconds(60)))
        schedule.sending(at: start)
        #expect(!schedule.isOverdue(at: start + .milliseconds(2499)))
        #expect(schedule.isOverdue(at: start + .milliseconds(2500)))
        _ = schedule.answered()
        #expect(!schedule.isOverdue(at: start + .milliseconds(2500)))
    }
}

@Suite struct SessionSettingsTests {
    private func settings(
        _ uri: String, _ change: (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    ) throws
        -> SessionSettings
    {
        var configuration = RabbitMQLocks.Configuration(uri: uri)
        change(&configuration)
        return try SessionSettings(configuration)
    }

    @Test func theProofEndsBeforeTwoHeartbeats() throws {
        let settings = try settings("amqp://localhost")
        #expect(settings.proofWindow(heartbeat: .seconds(10)) == .seconds(18))
        // A tenth of two seconds would be 200 ms, the least there is.
        #expect(settings.proofWindow(heartbeat: .seconds(1)) == .milliseconds(1800))
        let own = try self.settings("amqp://localhost") { $0.margin = .seconds(1) }
        #expect(own.proofWindow(heartbeat: .seconds(10)) == .seconds(19))
    }

    @Test func theHoldEndsBeforeTheAcknowledgementTimeout() throws {
        #expect(try settings("amqp://localhost").maximumHold == .seconds(1800 - 20 - 2))
        #expect(throws: LockError.self) {
            try settings("amqp://localhost") { $0.acknowledgementTimeout = .seconds(10) }
        }
    }

    @Test func theHeartbeatIsTheConfigurationsElseTheURIs() throws {
        #expect(try settings("amqp://localhost?heartbeat=3").endpoint.heartbeat == 3)
        let both = try settings("amqp://localhost?heartbeat=3") { $0.heartbeat = .seconds(7) }
        #expect(both.endpoint.heartbeat == 7)
        #expect(try settings("amqp://localhost").endpoint.heartbeat == 10)
    }

    @Test(arguments: ["amqp://localhost?prof=quorum", "http://localhost", "amqp://localhost?heartbeat=0", ""])
    func refusesWhatMakesNoSense(uri: String) {
        #expect {
            try settings(uri)
        } throws: {
            ($0 as? LockError)?.code == .invalidConfiguration
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(999), .seconds(601)])
    func refusesHeartbeatsOutOfBounds(heartbeat: Duration) {
        #expect(throws: LockError.self) { try settings("amqp://localhost") { $0.heartbeat = heartbeat } }
    }
}
