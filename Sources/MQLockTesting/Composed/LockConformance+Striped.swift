import MQLock

// Many entities on few locks.
extension LockConformance {
    var stripedChecks: [Check] {
        [
            Check(.bounds, "many entities on 64 locks") { [effort] bench in
                let seats = try await bench.seats(3)
                let prefix = bench.subject.makeName()
                let watch = EntityWatch()
                try await bench.passing("\(effort.entities) entities, seed \(effort.seed)", upTo: .zero) {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for (index, seat) in seats.enumerated() {
                            let stripes = try StripedLocks(prefix, slots: 64, on: seat.provider)
                            for task in 0..<8 {
                                let place = index * 8 + task
                                group.addTask { try await visit(stripes, place, of: seats.count * 8, watch) }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                try bench.require(watch.visited == effort.entities, "\(watch.visited) entities were visited")
                try bench.require(watch.overlaps == 0, "\(watch.overlaps) times two tasks were in one entity")
                let names = Set(seats.flatMap { $0.log.names(of: .granted) })
                try bench.require(names.count <= 64, "\(names.count) locks were taken")
            }
        ]
    }

    /// Visits a share of the entities one by one; now and then several at once, of which some are on one lock.
    private func visit(_ stripes: StripedLocks, _ place: Int, of places: Int, _ watch: EntityWatch) async throws {
        var generator = SeededGenerator(effort.seed &+ UInt64(place))
        for number in stride(from: place, to: effort.entities, by: places) {
            let entity = "order-\(number)"
            try await stripes.withLock(entity) { lease in await watch.visit([entity], lease.isValid) }
            guard Int.random(in: 0..<5, using: &generator) == 0 else { continue }
            // Some that all tasks visit: without the locks many would meet there.
            var several = (0..<3).map { _ in "order-\(Int.random(in: 0..<8, using: &generator))" }
            let slot = stripes.slot(of: several[0])
            if let neighbor = (0..<effort.entities).first(where: {
                stripes.slot(of: "order-\($0)") == slot && "order-\($0)" != several[0]
            }) {
                several.append("order-\(neighbor)")
            }
            let chosen = several
            try await stripes.withLocks(chosen) { leases in
                guard chosen.allSatisfy({ leases[stripes.name(of: $0)] != nil }) else {
                    throw Unmet("\(chosen) were asked for, \(leases.all.map(\.name)) came")
                }
                await watch.visit(Set(chosen), leases.isValid)
            }
        }
    }
}

/// Which visitors are inside which entity.
private final class EntityWatch: Sendable {
    private struct State {
        var inside: Set<String> = []
        var visited: Set<String> = []
        var overlaps = 0
    }

    private let state = Locked(State())

    var visited: Int { state.withLock { $0.visited.count } }
    var overlaps: Int { state.withLock { $0.overlaps } }

    /// - Parameter isValid: whether the visitor's lock is held.
    func visit(_ entities: Set<String>, _ isValid: Bool) async {
        state.withLock { state in
            if isValid, !state.inside.isDisjoint(with: entities) { state.overlaps += 1 }
            state.inside.formUnion(entities)
            state.visited.formUnion(entities)
        }
        await Task.yield()
        state.withLock { $0.inside.subtract(entities) }
    }
}
