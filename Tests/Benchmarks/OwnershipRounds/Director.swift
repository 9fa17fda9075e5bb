import Foundation
import MQLock
import MQLockKafka
import MQLockTesting

/// Lets the members join and leave, and measures that.
struct Director {
    private let place: Place
    private let rounds: Int
    private let next = Locked(0)

    private static let restarted = 5

    init(brokers: String, session: Int, rounds: Int, topic: Topic) {
        place = Place(brokers: brokers, session: session, topic: topic)
        self.rounds = rounds
    }

    func measure() async throws {
        try await makeTopic()
        var figures: [Contestant: Figures] = [:]
        // In turns, so that whatever else the machine does meets both.
        for round in 0..<rounds {
            for contestant in round.isMultiple(of: 2) ? Contestant.allCases : Contestant.allCases.reversed() {
                let account = Account(shards: place.topic.shards)
                var own = figures[contestant] ?? Figures()
                try joinsAndLeaves(contestant, account, &own)
                try restart(contestant, account, &own)
                figures[contestant] = own
            }
        }
        let claim = try BareClaim(place.brokers, place.topic)
        // The first one is of a new client, and has the whole topic to read.
        _ = try claim.make()
        let claims = try (0..<max(10, rounds)).map { _ in try claim.make() }
        Table(place: place, rounds: rounds, figures: figures, claims: claims).show()
    }

    private func makeTopic() async throws {
        let inspector = KafkaInspector(
            KafkaConnection(brokers: place.brokers.split(separator: ",").map(String.init)))
        let topic = place.topic
        if let count = try await inspector.partitionCount(of: topic.name) {
            guard count == topic.shards else { throw Failure("\(topic.name) has \(count) partitions") }
            return
        }
        try await inspector.create(
            topic.name, partitions: topic.shards, replicas: min(3, try await inspector.brokerCount()),
            settings: ["cleanup.policy": "compact"])
    }

    private func start(_ contestant: Contestant, _ account: Account) throws -> MemberProcess {
        let number = next.withLock { next in
            next += 1
            return next
        }
        return try MemberProcess(number, contestant, place) { account.add($0, $1) }
    }

    private func joinsAndLeaves(_ contestant: Contestant, _ account: Account, _ figures: inout Figures) throws {
        let one = try start(contestant, account)
        try account.settle([one.number])
        let first = account.joining(one.number) ?? 0
        figures.add(.loneJoin, account.history(since: first), from: first)

        let two = try start(contestant, account)
        try account.settle([one.number, two.number])
        let second = account.joining(two.number) ?? 0
        figures.add(.secondJoin, account.history(since: second), from: second)

        let leaving = HistoryClock.now
        two.leave()
        try account.settle([one.number])
        figures.add(.leave, account.history(since: leaving), from: leaving)
        two.waitForEnd()

        let victim = try start(contestant, account)
        try account.settle([one.number, victim.number])
        let killing = HistoryClock.now
        victim.kill()
        account.kill(victim.number)
        victim.waitForEnd()
        try account.settle([one.number])
        figures.add(.kill, account.history(since: killing), from: killing)
        one.leave()
        one.waitForEnd()
    }

    /// One after the other leaves, and another member takes its place.
    private func restart(_ contestant: Contestant, _ account: Account, _ figures: inout Figures) throws {
        var members: [MemberProcess] = []
        for _ in 0..<Self.restarted {
            members.append(try start(contestant, account))
            try account.settle(members.map(\.number))
        }
        let start = HistoryClock.now
        for _ in 0..<Self.restarted {
            let old = members.removeFirst()
            old.leave()
            try account.settle(members.map(\.number))
            old.waitForEnd()
            members.append(try self.start(contestant, account))
            try account.settle(members.map(\.number))
        }
        figures.add(.restart, account.history(since: start), from: start)
        // Together, so that no rebalance waits for a member that is about to leave.
        for member in members { member.leave() }
        for member in members { member.waitForEnd() }
    }
}
