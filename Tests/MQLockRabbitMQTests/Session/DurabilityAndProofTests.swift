import MQLock
import Testing

@testable import MQLockRabbitMQ

/// What the URI and the configuration say about where a lock is kept and what proves it.
@Suite struct DurabilityAndProofTests {
    private func settings(
        _ query: String, _ change: (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    ) throws -> SessionSettings {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://h?\(query)")
        change(&configuration)
        return try SessionSettings(configuration)
    }

    @Test func replicatedAndProvenByTheSessionUnlessSaid() throws {
        let settings = try settings("")
        #expect(settings.durability == .replicated)
        #expect(settings.proof == .session)
    }

    @Test func theURISays() throws {
        let settings = try settings("durability=fast&proof=quorum&heartbeat=4")
        #expect(settings.durability == .fast)
        #expect(settings.proof == .quorum)
        #expect(settings.endpoint.heartbeat == 4)
        #expect(try self.settings("durability=replicated&proof=session").durability == .replicated)
    }

    @Test func theConfigurationHasTheLastWord() throws {
        let settings = try settings("durability=fast&proof=quorum") {
            $0.durability = .replicated
            $0.proof = .session
        }
        #expect(settings.durability == .replicated)
        #expect(settings.proof == .session)
    }

    @Test(arguments: ["durability=quick", "durability=", "durability=Fast", "proof=all", "proof=quorum,session"])
    func anythingElseIsRefused(_ query: String) {
        let error = #expect(throws: LockError.self) { try settings(query) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(" or ") == true, "says what can be said: \(String(describing: error))")
    }

    @Test func aProofByTheQueueNeedsRenewals() {
        let error = #expect(throws: LockError.self) { try settings("proof=quorum") { $0.mutex = .token } }
        #expect(error?.code == .invalidConfiguration)
    }

    /// What the conformance suite and the tables go by.
    @Test(
        arguments: [
            (.token, .replicated, true), (.token, .fast, false), (.singleActiveConsumer, .replicated, true),
            (.singleActiveConsumer, .fast, true),
        ] as [(RabbitMQLocks.Mutex, RabbitMQLocks.Durability, Bool)])
    func capabilitiesSayWhatACrashOfTheBrokerLeaves(
        mutex: RabbitMQLocks.Mutex, durability: RabbitMQLocks.Durability, tokensSurvive: Bool
    ) throws {
        var configuration = RabbitMQLocks.Configuration(mutex: mutex)
        configuration.durability = durability
        #expect(try RabbitMQLocks(configuration).capabilities.tokensSurviveBrokerCrash == tokensSurvive)
    }
}
