import MQLock
import Testing

@testable import MQLockRabbitMQ

/// What the URI and the configuration say about what proves a lock.
@Suite struct ProofSettingsTests {
    private func settings(
        _ query: String, _ change: (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    ) throws -> SessionSettings {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h?\(query)")
        change(&configuration)
        return try SessionSettings(configuration)
    }

    @Test func provenByTheSessionUnlessSaid() throws {
        #expect(try settings("").proof == .session)
    }

    @Test func theURISays() throws {
        let settings = try settings("proof=quorum&heartbeat=4")
        #expect(settings.proof == .quorum)
        #expect(settings.endpoint.heartbeat == 4)
        #expect(try self.settings("proof=session").proof == .session)
    }

    @Test func theConfigurationHasTheLastWord() throws {
        #expect(try settings("proof=quorum") { $0.proof = .session }.proof == .session)
    }

    @Test(arguments: ["proof=all", "proof=quorum,session"]) func anythingElseIsRefused(_ query: String) {
        let error = #expect(throws: LockError.self) { try settings(query) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(" or ") == true, "says what can be said: \(String(describing: error))")
    }

    @Test(arguments: ["fast", "replicated"]) func thereIsNoDurabilityAnyMore(_ choice: String) {
        let error = #expect(throws: LockError.self) { try settings("durability=\(choice)") }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("leave it out") == true)
    }

    @Test func aProofByTheQueueNeedsALine() {
        let error = #expect(throws: LockError.self) { try settings("proof=quorum") { $0.mutex = .token } }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test func aTokenIsExchangedInTime() throws {
        let settings = try settings("heartbeat=10")
        #expect(settings.renewalInterval * 2 <= settings.maximumHold)
        #expect(settings.maximumHold < settings.acknowledgementTimeout)
    }
}
