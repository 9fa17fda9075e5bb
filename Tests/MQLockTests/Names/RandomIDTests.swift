import MQLock
import Testing

@Suite struct RandomIDTests {
    @Test func idsAreReadAsTheyAreWritten() {
        let ids = Set((0..<1000).map { _ in RandomID() })
        #expect(ids.count == 1000)
        for id in ids {
            #expect(id.description.utf8.count == 32)
            #expect(RandomID(id.description) == id)
        }
    }

    @Test(
        arguments: ["00000000000000000000000000000000", "0123456789abcdef0f1e2d3c4b5a6978"])
    func digitsAreKept(text: String) { #expect(RandomID(text)?.description == text) }

    @Test(
        arguments: [
            "", "0", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
            "0123456789ABCDEF0123456789abcdef", " 123456789abcdef0123456789abcdef", "+123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcde\u{e9}",
        ])
    func nothingElseIsRead(text: String) { #expect(RandomID(text) == nil) }

    @Test func theirOrderIsThatOfTheirTexts() {
        let ids = (0..<100).map { _ in RandomID() }
        #expect(ids.sorted().map(\.description) == ids.map(\.description).sorted())
    }
}
