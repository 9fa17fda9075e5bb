import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Rules of the single active consumer that no fault of the simulated broker makes the difference for.
@Suite struct SACMachineTests {
    /// After the rules for candidates this can only be a stranger's, or a token put there by an operator; the lock is not
    /// kept against it.
    @Test func aHolderGivesWayToALargerToken() {
        var machine = SACMachine()
        let own = Nonce()
        _ = machine.handle(.acquire(1))
        _ = machine.handle(.consuming)
        _ = machine.handle(.delivered(1, redelivered: false, token(1)))
        _ = machine.handle(.publishing(SACMessage(isSeed: false, number: 33, nonce: own)))
        _ = machine.handle(.confirmed(own))
        let granted = machine.handle(.delivered(2, redelivered: false, token(33, own)))
        #expect(granted == [.acknowledge(1), .grant(1, number: 33, own)])
        #expect(machine.handle(.delivered(3, redelivered: false, token(33))) == [.acknowledge(3)])
        let actions = machine.handle(.delivered(4, redelivered: false, token(34)))
        #expect(actions.contains(.closeChannel))
        #expect(actions.contains { if case .lose = $0 { true } else { false } })
        #expect(!actions.contains(.acknowledge(4)))
    }

    private func token(_ number: UInt64, _ nonce: Nonce = Nonce()) -> SACMachine.Content {
        .token(SACMessage(isSeed: false, number: number, nonce: nonce), isFarAhead: false)
    }
}
