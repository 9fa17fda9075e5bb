import Testing

@testable import MQLockKafka

@Suite struct MembershipTests {
    private func serialized(_ generation: Int32, _ rest: String, magic: String = "CGMDv2:") -> [UInt8] {
        Array(magic.utf8) + withUnsafeBytes(of: generation) { Array($0) } + Array(rest.utf8)
    }

    @Test func readsWhatTheLibraryWrites() throws {
        let one = try #require(Membership(serialized: serialized(7, "group\0member-1\0\u{1}")))
        #expect(one == Membership(generation: 7, member: "member-1"))
        #expect(one.isComplete)
        // After a loss the old generation stays, and the member id goes (or the other way round).
        #expect(try !#require(Membership(serialized: serialized(7, "group\0\0\u{1}"))).isComplete)
        #expect(try !#require(Membership(serialized: serialized(-1, "group\0member-1\0\u{1}"))).isComplete)
    }

    @Test func refusesAnotherForm() {
        #expect(Membership(serialized: serialized(7, "group\0member-1\0\u{1}", magic: "CGMDv3:")) == nil)
        #expect(Membership(serialized: serialized(7, "group")) == nil)
        #expect(Membership(serialized: Array("CGMDv2:ab".utf8)) == nil)
        #expect(Membership(serialized: []) == nil)
    }
}
