import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct StripedLocksTests {
    private let locks = InMemoryLocks(InMemoryBroker(clock: ManualClock()))

    /// Computed by another program, from the definition. Changed, an entity has two locks while a new version is rolled out.
    @Test(arguments: [
        ("", 1, 641),
        ("a", 0, 864),
        ("foobar", 25, 233),
        ("order-1", 50, 650),
        ("order-2", 11, 435),
        ("customer/42", 0, 504),
        ("Zürich", 25, 457),
        ("注文", 24, 632),
        (String(repeating: "x", count: 300), 10, 794),
    ])
    func anEntityHasTheSameSlotEverywhere(_ entity: String, _ of64: Int, _ of1000: Int) throws {
        #expect(try StripedLocks("p", slots: 64, on: locks).slot(of: entity) == of64)
        #expect(try StripedLocks("p", slots: 1000, on: locks).slot(of: entity) == of1000)
        #expect(try StripedLocks("p", slots: 1, on: locks).slot(of: entity) == 0)
        #expect(try StripedLocks("orders", slots: 64, on: locks).name(of: entity).string == "orders/64/\(of64)")
    }

    /// Equal to Swift, but not byte by byte.
    @Test func bytesCountAsInNames() throws {
        let stripes = try StripedLocks("p", slots: StripedLocks.maximumSlots, on: locks)
        #expect(stripes.slot(of: "\u{e9}") != stripes.slot(of: "e\u{301}"))
        #expect(stripes.slot(of: "x-abc".dropFirst(2)) == stripes.slot(of: "abc"))
    }

    /// Shapes of names as they are: numbers in a row, in steps, with zeros in front, and what ends alike. No slot gets twice
    /// as many as another by the shape.
    @Test(arguments: [2, 3, 16, 64, 100, 256])
    func entitiesSpreadOverAllSlots(_ slots: Int) throws {
        let shapes: [(String, (Int) -> String)] = [
            ("numbers", { "\($0)" }), ("even numbers", { "\($0 * 2)" }), ("tens", { "order-\($0 * 10)" }),
            ("multiples of the slots", { "\($0 * slots)" }), ("padded", { String("0000000\($0)".suffix(8)) }),
            ("pairs", { "\($0)-\($0)" }), ("one ending", { "\($0)/customer" }),
            ("hexadecimal", { String($0 &* 0x9E37_79B9, radix: 16) }),
        ]
        for (shape, text) in shapes {
            let stripes = try StripedLocks("p", slots: slots, on: locks)
            var counts = [Int](repeating: 0, count: slots)
            let each = 400
            for number in 0..<slots * each { counts[stripes.slot(of: text(number))] += 1 }
            let (least, most) = (counts.min() ?? 0, counts.max() ?? 0)
            #expect(least > each * 2 / 3 && most < each * 4 / 3, "\(shape) on \(slots): \(least) to \(most)")
        }
    }

    @Test(arguments: [Int.min, -1, 0, StripedLocks.maximumSlots + 1, Int.max])
    func aNumberOfSlotsThatMakesNoSenseIsRefused(_ slots: Int) {
        let error = #expect(throws: LockError.self) { try StripedLocks("p", slots: slots, on: locks) }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test func aPrefixLeavesRoomForTheNumbers() throws {
        // "/1000/999" has nine bytes.
        let longest = String(repeating: "x", count: 191)
        let stripes = try StripedLocks(longest, slots: 1000, on: locks)
        for number in 0..<5000 { #expect(stripes.name(of: "\(number)").utf8.count <= 200) }
        let error = #expect(throws: LockError.self) { try StripedLocks(longest + "x", slots: 1000, on: locks) }
        #expect(error?.code == .invalidName)
    }

    @Test func entitiesOnOneLockTakeItOnce() async throws {
        let stripes = try StripedLocks("p", slots: 4, on: locks)
        let entities = (0..<100).map { "entity-\($0)" }
        try await stripes.withLocks(entities, within: .seconds(1)) { leases in
            #expect(leases.all.count == 4)
            #expect(entities.allSatisfy { leases[stripes.name(of: $0)]?.isValid == true })
        }
        try await stripes.withLock("entity-1", within: .seconds(1)) { #expect($0.name == stripes.name(of: "entity-1")) }
        let error = await #expect(throws: LockError.self) { try await stripes.withLocks([String]()) { _ in } }
        #expect(error?.code == .invalidName)
    }
}
