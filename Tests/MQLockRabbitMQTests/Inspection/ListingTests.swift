import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests.InspectionTests {
    /// More than a session answers at once, of two sessions, in whichever order they answer.
    @Test func allLocksAreListed() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let inspector = try broker.inspector()
            let (many, few) = (try broker.locks { $0.owner = "many" }, try broker.locks { $0.owner = "few" })
            // Waiters are listed too, and cost the broker less than holders.
            let holder = Contender(few, name)
            _ = try await holder.lease()
            let count = ControlRequest.maximumListed + 20
            let others = try (0..<count).map { try LockName("\(name.string)/\($0)") }
            let contenders = others.map { Contender(many, $0) } + [Contender(many, name)]
            for contender in contenders.dropLast() { _ = try await contender.lease() }
            var last: [LockName: LockView] = [:]
            try await eventually("\(count) locks to be listed, of \(last.count)") {
                let views = try await inspector.locks(within: .seconds(2))
                #expect(Set(views.map(\.name)).count == views.count)
                last = Dictionary(uniqueKeysWithValues: views.map { ($0.name, $0) })
                return others.allSatisfy { last[$0] != nil } && last[name]?.waiters.count == 1
            }
            #expect(last[name]?.holders.map(\.owner) == ["few"])
            #expect(last[name]?.waiters.map(\.owner) == ["many"])
            #expect(last[name]?.holders.first?.user == "guest")
            for other in others { #expect(last[other]?.holders.map(\.owner) == ["many"]) }
            #expect(try await holder.release() == nil)
            for contender in contenders {
                _ = try await contender.lease()
                #expect(try await contender.release() == nil)
            }
            await many.shutdown()
            await few.shutdown()
            broker.clean(others)
        }
    }
}
