import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// Every order of what the library, the broker, the claimer and the clock can do, at random: at no instant owned when
/// that is not proven, one claim at a time, every rebalance answered, and owned again when the faults have stopped.
@Suite(.inBackground, .serialized, .timeLimit(.minutes(5))) struct OwnershipOrderTests {
    /// How many orders: the machine's defects of ``OwnershipMachine/Mutant`` show within some hundreds.
    static let orders = 100_000

    @Test func noOrderBreaksIt() async {
        let seed = TestSeed.next()
        print("seed of the event orders: \(seed)")
        await withTaskGroup(of: String?.self) { group in
            let parts = 4
            for part in 0..<parts {
                group.addTask {
                    for order in stride(from: part, to: Self.orders, by: parts) {
                        if let text = Self.violation(seed &+ UInt64(order)) { return "order \(order): \(text)" }
                    }
                    return nil
                }
            }
            for await text in group where text != nil { Issue.record("seed \(seed), \(text ?? "")") }
        }
    }

    @Test(arguments: OwnershipMachine.Mutant.allCases)
    func everyDefectIsFound(_ mutant: OwnershipMachine.Mutant) {
        let seed = TestSeed.next()
        let found = (0..<UInt64(20_000)).contains { Self.violation(seed &+ $0, mutant) != nil }
        #expect(found, "\(mutant) went unnoticed, seed \(seed)")
    }

    /// Plays one order; what went wrong, with the events that led to it.
    private static func violation(
        _ seed: UInt64, _ mutant: OwnershipMachine.Mutant? = nil, isTraced: Bool = false
    ) -> String? {
        var world = OwnershipWorld(seed: seed, mutant: mutant, isTraced: isTraced)
        for _ in 0..<Int.random(in: 5...40, using: &world.generator) where world.violation == nil {
            disturb(&world)
        }
        // Then the faults stop; a claim that hangs goes on to.
        for _ in 0..<800 where world.violation == nil && !world.isSettled {
            settle(&world)
        }
        if world.violation == nil, !world.isSettled {
            world.fail("not owned again: \(world.machine.phase), \(world.machine.stages)")
        }
        guard let violation = world.violation else { return nil }
        guard isTraced else { return Self.violation(seed, mutant, isTraced: true) ?? "not seen again: \(violation)" }
        return "\(violation)\n" + world.trace.suffix(40).joined(separator: "\n")
    }

    private static func disturb(_ world: inout OwnershipWorld) {
        func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &world.generator) }
        switch pick(0...99) {
        case 0...19: world.pass(.milliseconds(pick(1...400)), ticks: pick(0...4) > 0)
        case 20...21: world.pass(.milliseconds(pick(400...15_000)), ticks: pick(0...1) == 0)
        case 22...41: world.answerClaim(pick(0...11))
        case 42...69:
            switch pick(0...19) {
            case 0: world.answerCommit(.stale)
            case 1...3: world.answerCommit(.notRenewed)
            case 4...5: world.answerCommit(.accepted(Membership(generation: pick(-1...5).asInt32, member: "other")))
            default:
                guard let membership = world.membership else { return world.answerCommit(.notRenewed) }
                world.answerCommit(.accepted(membership))
            }
        case 70...84:
            if world.assigned.isEmpty, world.mayRebalance {
                let shards = (0..<OwnershipMachine.Shard(4)).filter { _ in pick(0...2) > 0 }
                world.assign(Set(shards), complete: pick(0...19) > 0)
            } else if world.mayRebalance, pick(0...2) == 0 {
                world.revoke(lost: pick(0...2) == 0)
            }
        case 85: if world.mayRebalance { world.assign([1, 2]) }
        case 86...89: world.drain(pick(0...3).asInt32)
        case 90...93: world.useUp(pick(0...3).asInt32)
        case 94: world.loseMembership()
        case 95: if pick(0...3) == 0 { world.breakClient() }
        case 96: world.runOut()
        case 97: if pick(0...9) == 0 { world.leave() } else { world.hangClaim() }
        default: world.closeIfAsked()
        }
    }

    private static func settle(_ world: inout OwnershipWorld) {
        world.closeIfAsked()
        world.pass(world.timing.renewal, ticks: true)
        for shard in world.owned.sorted() where world.machine.isLeaving || !world.mayRebalance { world.drain(shard) }
        world.answerClaim(1)
        if let membership = world.membership { world.answerCommit(.accepted(membership)) }
        // What the library does when the membership is lost: it revokes, and joins again.
        switch world.machine.phase {
        case .joining where world.assigned.isEmpty && world.mayRebalance: world.assign([0, 1, 2])
        case .lost where world.mayRebalance: world.revoke(lost: true)
        case .assigned where world.assigned.isEmpty && world.mayRebalance && !world.left:
            world.revoke(lost: false)
        default: break
        }
    }
}

extension Int {
    fileprivate var asInt32: Int32 { Int32(self) }
}
