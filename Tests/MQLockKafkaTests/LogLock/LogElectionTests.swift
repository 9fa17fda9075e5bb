import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Leader election on the log lock: the lock of a name is led.
    @Suite struct LogElectionTests {}
}

extension LiveKafkaTests.LogElectionTests {
    @Test func electionsKeepTheRules() async throws {
        let place = try await LogPlace.make()
        let made = Locked<[ObjectIdentifier: (locks: KafkaLocks, proxy: KafkaProxy)]>([:])
        var subject = ElectionSubject<LeaderElection>(handOverLimit: .seconds(4)) { name, count in
            try await eventually("\(count) candidates in line") {
                try await offPool { try place.broker.lockTable(place.topic).lines[name]?.places.count ?? 0 }
                    >= count
            }
        } make: { options in
            let proxy = try await offPool { try KafkaProxy(to: place.broker) }
            let locks = try place.locks(ttl: .seconds(3), behind: proxy, owner: options.owner)
            let election = try LeaderElection(
                options.name, on: locks, inspector: place.inspector, owner: options.owner, settings: options.settings)
            made.withLock { $0[ObjectIdentifier(election)] = (locks, proxy) }
            return election
        }
        subject.close = { election in
            let entry = made.withLock { $0.removeValue(forKey: ObjectIdentifier(election)) }
            entry?.proxy.change { $0.isSilent = false }
            await entry?.locks.shutdown(within: .zero)
        }
        subject.endSession = { election in
            let locks = made.withLock { $0[ObjectIdentifier(election)]?.locks }
            guard let session = locks?.contender.driver.health.sessions[0] else { return }
            try await offPool { try place.broker.append([.foreign(.close(session))], to: place.topic) }
        }
        subject.observesOthers = true
        // Until the leader has read what everybody else has read, too.
        subject.noticeTakes = .milliseconds(500)
        subject.silence = { election in
            made.withLock { $0[ObjectIdentifier(election)]?.proxy }?.change { $0.isSilent = true }
        }
        subject.heal = { election in
            made.withLock { $0[ObjectIdentifier(election)]?.proxy }?.change { $0.isSilent = false }
        }
        let report = await ElectionSuite(subject).run()
        print(report)
        #expect(report.hasPassed, "\(report)")
        #expect(!report.entries.isEmpty)
    }
}
