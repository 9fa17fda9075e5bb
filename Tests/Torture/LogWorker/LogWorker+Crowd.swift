import MQLock
import MQLockKafka
import Synchronization

// Many sessions in one process, to see what they cost: Tests/Benchmarks/sessions.
extension LogWorker {
    /// So many providers, each of which holds a name of its own. Says `ready`, and then each second how often sessions have
    /// proven their life so far: each time by a record.
    static func crowd(_ configuration: KafkaLocks.Configuration, count: Int) async throws {
        let observer = RenewalCount()
        let (grants, granted) = AsyncStream.makeStream(of: Void.self)
        for number in 0..<count {
            let (locks, name) = (try KafkaLocks(configuration, observer: observer), try LockName("n\(number)"))
            Task {
                do {
                    try await locks.withLock(name) { _ in
                        granted.yield()
                        try await Task.sleep(for: .seconds(86400))
                    }
                } catch {
                    say("failed \(error)")
                }
            }
            // One after the other: each connects three times.
            for await _ in grants { break }
        }
        say("ready")
        while true {
            try await Task.sleep(for: .seconds(1))
            say("renewals \(observer.count)")
        }
    }
}

private final class RenewalCount: LockObserver {
    private let renewals = Atomic(0)
    var count: Int { renewals.load(ordering: .relaxed) }

    func observe(_ event: LockEvent) {
        if event.kind == .renewed { renewals.add(1, ordering: .relaxed) }
    }
}
