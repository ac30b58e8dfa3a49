"""A planned network as one page to look at: what it computes, what that costs and where its bytes lie."""
