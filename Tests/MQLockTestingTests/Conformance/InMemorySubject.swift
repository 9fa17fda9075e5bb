import MQLock
import MQLockTesting

/// The in-memory provider on a manual clock as a subject of the suite.
func inMemorySubject(_ mutation: Mutation = [], patience: Duration) -> ConformanceSubject<InMemoryLocks> {
    let clock = ManualClock()
    let broker = InMemoryBroker(clock: clock, mutation: mutation)
    var subject = ConformanceSubject<InMemoryLocks>(handOverLimit: broker.sessionTimeout) { options in
        InMemoryLocks(broker, observer: options.observer, maximumWaiters: options.maximumWaiters ?? 10_000)
    }
    subject.close = { $0.shutdown() }
    subject.clock = clock
    subject.pass = { clock.advance(by: $0) }
    subject.patience = patience
    subject.faults.endSession = { $0.dropSession() }
    subject.faults.silence = { $0.silence() }
    subject.faults.heal = { $0.heal() }
    subject.faults.holdAnswers = { $0.hold(.toClient) }
    subject.faults.passAnswers = { $0.unhold(.toClient) }
    subject.faults.holdRequests = { $0.hold(.toBroker) }
    subject.faults.dropNextRequest = { $0.dropNext(.toBroker) }
    subject.faults.pause = { $0.pause() }
    subject.faults.resume = { $0.resume() }
    subject.faults.restartBroker = { broker.restart() }
    // What it keeps over a restart is all that it has.
    subject.faults.crashBroker = { broker.restart() }
    subject.faults.deleteObjects = { broker.deleteQueue(of: $0) }
    subject.faults.occupy = { broker.occupy($0, kind: "another") }
    subject.faults.requestCount = { broker.requests }
    subject.faults.contenders = { broker.contenders(for: $0) }
    return subject
}
