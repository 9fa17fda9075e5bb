import Testing

@testable import MQLock

@Suite struct LeaseIDTests {
    /// However many threads make them at once.
    @Test func everyLeaseHasAnIDOfItsOwn() async {
        let made = await withTaskGroup(of: [LeaseID].self) { group in
            for _ in 0..<8 { group.addTask { (0..<10_000).map { _ in LeaseID() } } }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(made).count == 80_000)
        #expect(Set(made.map(\.description)).count == 80_000)
    }
}
