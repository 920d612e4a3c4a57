-- The tables that `millrace sql` begins with; each query reads its documents anew.
CREATE TEMPORARY VIEW twitter_table USING documents OPTIONS (result 'twitter_collection');
