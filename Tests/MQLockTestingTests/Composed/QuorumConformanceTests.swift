import MQLock
import MQLockTesting
import Testing

/// A quorum is a provider like any other.
@Suite struct QuorumConformanceTests {
    @Test func aQuorumConforms() async {
        let report = await LockConformance(subject()).run()
        #expect(report.hasPassed, "\(report)")
        let leftOut = report.entries.filter { $0.outcome != .passed }
        #expect(leftOut.isEmpty, "\(report)")
        #expect(Set(report.entries.map(\.rule)) == Set(ConformanceRule.allCases))
    }

    /// Faults strike all members at once: what a single one does is the matter of other tests.
    private func subject() -> ConformanceSubject<BrokerQuorum> {
        let stage = QuorumStage()
        let clock = stage.clock
        var subject = ConformanceSubject<BrokerQuorum>(handOverLimit: stage.brokers[0].sessionTimeout) { options in
            // The suite's brokers do not forget what they have granted while a program is frozen.
            try stage.program(
                settling: .zero, observer: options.observer, maximumWaiters: options.maximumWaiters ?? 10_000
            ).quorum
        }
        @Sendable func all(_ quorum: BrokerQuorum, _ fault: (InMemoryLocks) -> Void) {
            for case let member as InMemoryLocks in quorum.members { fault(member) }
        }
        @Sendable func part(_ name: LockName) throws -> LockName { try LockName("\(name.string)/quorum/3") }
        subject.close = { quorum in all(quorum) { $0.shutdown() } }
        subject.clock = clock
        subject.pass = { clock.advance(by: $0) }
        subject.patience = .seconds(60)
        subject.faults.endSession = { quorum in all(quorum) { $0.dropSession() } }
        subject.faults.silence = { quorum in all(quorum) { $0.silence() } }
        subject.faults.heal = { quorum in all(quorum) { $0.heal() } }
        subject.faults.holdAnswers = { quorum in all(quorum) { $0.hold(.toClient) } }
        subject.faults.passAnswers = { quorum in all(quorum) { $0.unhold(.toClient) } }
        subject.faults.holdRequests = { quorum in all(quorum) { $0.hold(.toBroker) } }
        subject.faults.dropNextRequest = { quorum in all(quorum) { $0.dropNext(.toBroker) } }
        subject.faults.pause = { quorum in all(quorum) { $0.pause() } }
        subject.faults.resume = { quorum in all(quorum) { $0.resume() } }
        subject.faults.restartBroker = { for broker in stage.brokers { broker.restart() } }
        subject.faults.crashBroker = { for broker in stage.brokers { broker.restart() } }
        subject.faults.deleteObjects = { name in for broker in stage.brokers { broker.deleteQueue(of: try part(name)) }
        }
        subject.faults.occupy = { name in
            for broker in stage.brokers { broker.occupy(try part(name), kind: "another") }
        }
        subject.faults.requestCount = { stage.brokers.reduce(0) { $0 + $1.requests } }
        // Who waits does so at the first broker.
        subject.faults.contenders = { stage.brokers[0].contenders(for: try part($0)) }
        return subject
    }
}
